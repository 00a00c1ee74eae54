"""Runs that give way to others, again and again: what they come to is the same, and the others do not wait for long."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from syncapp.engine import execute
from syncapp.engine import lease as leases
from syncapp.sweep import sweep
from syncapp.testing import ListSource
from tests.integration.engine import MakeWorld, client
from tests.integration.town import LONG_AGO, Town
from tests.waiting import wait_for

LONG, SHORT, PAGE = 1_000, 5, 10  # records


@pytest.fixture
def quick(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Where a slice is over as soon as it has begun."""
    monkeypatch.setattr(leases, "LONGEST_PAUSE", 0.005)
    return Town(make([], run_slice=0.001, batch_records=PAGE))


class Asked:
    """Stands in for the broker that answers. The heartbeat asks whenever others wait: twice, and the run knows."""

    def __init__(self, answer: bool = True) -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> bool:
        self.times += 1
        return self.answer

    def knows(self) -> bool:
        return self.times >= 2


def long_source(before_page: Callable[[int], Any]) -> ListSource:
    return ListSource([client(n) for n in range(1, LONG + 1)], page_size=PAGE, before_page=before_page)


def test_a_run_is_the_same_over_any_number_of_slices(quick: Town) -> None:
    world, pages, asked = quick.world, list[int](), Asked()
    world.query(
        "INSERT INTO clients (organization_id, external_id, sync_status, last_synced_at) "
        "VALUES ('default', 'gone', 'synced', now()) RETURNING 1"
    )

    def before_page(number: int) -> None:
        pages.append(number)
        wait_for(asked.knows)

    quick.sources["default"] = long_source(before_page)
    quick.run("long", "default", dry_run="false")
    quick.run("waiting", "other", **LONG_AGO)
    slices = 0
    while execute("long", quick.runtime(asked)) == "yielded":
        slices, asked.times = slices + 1, 0
        run = world.run("long")
        assert (run["status"], run["attempt"], run["lease_owner"], run["dispatched_at"]) == ("running", 0, None, None)
        assert 0 < run["records_processed"] == min(run["steps"][0]["pages"] * PAGE, LONG)
    assert slices >= 2 * LONG / PAGE / 4  # a slice is three batches at most here, and all is looked at twice
    run = world.run("long")
    assert (run["status"], run["attempt"], run["error_type"]) == ("completed", 1, None)
    assert world.counts(run) == (LONG, LONG, 0, 0, 1, 0)
    assert pages == [*range(1, LONG // PAGE + 1)] * 2  # nothing that was read was lost
    events = world.query("SELECT seq, kind FROM run_events WHERE sync_id = 'long' ORDER BY seq")
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert [event["kind"] for event in events].count("yielded") == slices


def test_a_run_that_nobody_would_send_again_keeps_its_worker(quick: Town) -> None:
    asked = Asked(answer=False)
    quick.sources["default"] = long_source(lambda _: wait_for(asked.knows))
    quick.run("long", "default", dry_run="false")
    quick.run("waiting", "other", **LONG_AGO)
    assert execute("long", quick.runtime(asked)) == "completed"


def work(town: Town, asked: dict[str, Asked], ended: Callable[[str], None]) -> None:
    """As a worker does, which sweeps when there is no message for it, until every run has ended."""
    while town.world.query("SELECT 1 FROM sync_runs WHERE status IN ('starting', 'running')"):
        try:
            sync_id = town.broker.messages.get(timeout=0.01)
        except queue.Empty:
            sweep(town.world.database, town.world.settings, town.broker)
            continue
        asked[sync_id] = Asked()
        if execute(sync_id, town.runtime(asked[sync_id])) == "completed":
            ended(sync_id)


def test_long_runs_on_all_workers_do_not_keep_short_ones_waiting(quick: Town) -> None:
    world, asked, far = quick.world, dict[str, Asked](), list[int]()

    def before_page(sync_id: str) -> None:
        wait_for(lambda: asked[sync_id].knows() or not quick.never_taken("short%"))

    def ended(sync_id: str) -> None:
        if sync_id.startswith("short"):
            far.extend(world.run(long)["records_processed"] for long in ("long1", "long2"))

    for name in ("long1", "long2"):
        quick.sources[name] = long_source(lambda _, name=name: before_page(name))
        quick.run(name, name, dry_run="false", **LONG_AGO)
    for n in range(20):
        quick.sources[f"short{n}"] = ListSource([client(m) for m in range(SHORT)])
        quick.run(f"short{n}", f"short{n}", dry_run="false", waiting_since="now() - interval '9 s'")
    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(work, quick, asked, ended) for _ in range(2)]
    assert [worker.result() for worker in workers] == [None, None]
    assert len(far) == 40
    assert max(far) <= LONG / 10
    for run in world.query("SELECT * FROM sync_runs"):
        count = LONG if run["sync_id"].startswith("long") else SHORT
        assert (run["status"], run["attempt"], world.counts(run)) == ("completed", 1, (count, count, 0, 0, 0, 0))
    given_back = {row["sync_id"] for row in world.query("SELECT sync_id FROM run_events WHERE kind = 'yielded'")}
    assert given_back >= {"long1", "long2"}
