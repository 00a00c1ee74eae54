"""Who gets a worker: how many runs an organization has in hands, in which order they are sent, who gives way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from syncapp.engine.lease import Lease, take_lease
from tests.integration.engine import MakeWorld
from tests.integration.town import LONG_AGO, Town

SENT = {"dispatched_at": "now()"}


@pytest.fixture
def town(make: MakeWorld) -> Town:
    """With a cap of 3."""
    return Town(make([], max_runs_per_organization=3))


def test_the_cap_holds_however_many_take_at_once(town: Town) -> None:
    runs = [town.run(f"run{n}", "default", **SENT) for n in range(24)]
    together = threading.Barrier(8)

    def take_three(first: int) -> list[Lease | None]:
        together.wait()
        return [town.take(sync_id) for sync_id in runs[first::8]]

    with ThreadPoolExecutor(8) as pool:
        taken = [lease for found in pool.map(take_three, range(8)) for lease in found if lease]
    assert len(taken) == 3
    rest = town.world.query("SELECT attempt, dispatched_at, event_seq FROM sync_runs WHERE lease_token = 0")
    assert rest == [{"attempt": 0, "dispatched_at": None, "event_seq": 0}] * 21
    assert [event["kind"] for event in town.world.query("SELECT kind FROM run_events")] == ["started"] * 3


def test_nothing_is_sent_past_the_cap_until_there_is_room(town: Town) -> None:
    runs = [town.run(f"run{n}", "default", waiting_since=f"now() - interval '{9 - n} s'") for n in range(5)]
    other = town.run("other", "another")
    assert town.sweep() == [runs[0], other, runs[1], runs[2]]
    assert town.sweep() == []  # they are on their way
    held = [town.take(sync_id) for sync_id in runs[:3]]
    assert town.take(runs[3]) is None
    assert town.sweep() == []
    town.end(held[1])
    assert town.sweep() == [runs[3]]
    assert town.sweep() == []
    assert town.take(runs[3]) is not None


def test_a_lease_that_ran_out_counts_no_more(town: Town) -> None:
    held = [town.take(town.run(f"run{n}", "default", **SENT)) for n in range(3)]
    assert town.take(town.run("last", "default")) is None
    town.world.query("UPDATE sync_runs SET lease_expires_at = now() WHERE sync_id = 'run1' RETURNING 1")
    assert town.take("last") is not None
    assert town.take("run1") is None
    town.end(held[0])
    assert town.take("run1") is not None


def test_runs_are_sent_in_rounds_over_the_organizations(town: Town) -> None:
    for number, sync_id in enumerate(("a1", "a2", "a3", "b1", "c1", "c2")):
        town.run(sync_id, sync_id[0], waiting_since=f"now() - interval '{20 - number} s'")
    held = town.take("a1")
    assert held is not None
    held.wait("yielded", 0, None, attempt_spent=False)
    assert town.sweep() == ["a2", "b1", "c1", "a3", "c2", "a1"]


def test_a_run_in_hand_is_its_organizations_first(town: Town) -> None:
    town.take(town.run("a1", "a"))
    for number, sync_id in enumerate(("a2", "a3", "b1", "b2")):
        town.run(sync_id, sync_id[0], waiting_since=f"now() - interval '{20 - number} s'")
    assert town.sweep() == ["b1", "a2", "b2", "a3"]


WAITING = [
    (LONG_AGO, True),
    (LONG_AGO | SENT, True),
    (LONG_AGO | {"resume_at": "now() - interval '9 s'"}, True),
    ({}, False),  # a free worker may be about to take it
    (LONG_AGO | {"resume_at": "now() - interval '1 s'"}, False),
    (LONG_AGO | {"resume_at": "now() + interval '9 s'"}, False),
    (LONG_AGO | {"cancel_requested_at": "now()"}, False),
    (LONG_AGO | {"attempt": "4"}, False),
    (LONG_AGO | {"status": "'completed'"}, False),
    (LONG_AGO | {"status": "'running'", "lease_expires_at": "now() + interval '9 s'"}, False),
]


@pytest.mark.parametrize(("columns", "waits"), WAITING)
def test_nobody_has_one_more_while_somebody_waits_who_has_fewer(
    town: Town, columns: dict[str, str], waits: bool
) -> None:
    town.take(town.run("a1", "a", **SENT))
    town.run("b1", "b", **columns)
    second = town.take(town.run("a2", "a", **SENT | LONG_AGO))
    assert (second is None) == waits
    assert (town.world.run("a2")["dispatched_at"] is None) == waits
    if waits:
        assert town.take("b1") is not None
        assert town.take("a2") is not None


def beat(lease: Lease | None, *, began: float = float("-inf")) -> bool:
    """Whether the run has to give way, with its slice over."""
    assert lease is not None
    lease.began = began
    lease.beat()
    return lease.must_yield.is_set()


@pytest.mark.parametrize(("columns", "waits"), WAITING)
def test_a_run_gives_way_to_those_who_wait(town: Town, columns: dict[str, str], waits: bool) -> None:
    lease = take_lease(town.run("a1", "a"), town.runtime(lambda: True))
    town.run("b1", "b", **columns)
    assert not beat(lease, began=float("inf"))
    assert beat(lease) == waits
    town.take("b1")
    assert not beat(lease)  # it waits no longer


@pytest.mark.parametrize(
    ("held", "waiting", "yields"),
    [
        (["a1"], ["a2"], True),
        (["a1", "b1"], ["b2"], False),  # as many as it would leave
        (["a1", "a2", "b1"], ["b2"], True),
        (["a1", "b1", "b2", "b3"], ["b4"], False),  # at its cap
        (["a1", "b1", "b2", "b3"], ["b4", "c1"], True),
    ],
)
def test_to_whom_a_run_gives_way(town: Town, held: list[str], waiting: list[str], yields: bool) -> None:
    taken = [take_lease(town.run(sync_id, sync_id[0]), town.runtime(lambda: True)) for sync_id in held]
    assert None not in taken
    for sync_id in waiting:
        town.run(sync_id, sync_id[0], **LONG_AGO)
    assert beat(taken[0]) == yields
