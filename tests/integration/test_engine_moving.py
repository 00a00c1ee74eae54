"""Sources that change while they are read, and runs of every kind that meet: nothing real is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from syncapp.audit import SYSTEM
from syncapp.commands import cancel_run, replay_errors, retry_run
from syncapp.definition import Policy
from syncapp.engine import commit
from syncapp.engine.runtime import utc_now
from syncapp.errors import Conflict, ConnectionFailed, RateLimited
from syncapp.ports import ReadRequest
from syncapp.records import Page
from syncapp.sweep import reap
from syncapp.testing import ListSource
from tests.integration.engine import DEFAULT, MakeWorld, World, always, client, fail_once_at, utc

Records = list[dict[str, Any]]


@dataclass
class MovingSource:
    """Numbered pages over records that `change` alters once, after page 2, as other people do while we read.

    `counted` is false where the source names no total: then no shortfall shows.
    """

    records: Records
    change: Callable[[Records], Records]
    counted: bool = True
    changed: bool = False
    sinces: list[str | None] = field(default_factory=list)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        self.sinces.append(request.since)
        number = request.position["page"] if request.position else 1
        while True:
            found = [one for one in self.records if one["updated_at"] >= (request.since or "")]
            more = number * 10 < len(found)
            page, position = found[number * 10 - 10 : number * 10], {"page": number + 1} if more else None
            yield Page(page, position, len(found) if self.counted else None)
            if not more:
                return
            if number == 2 and not self.changed:
                self.records, self.changed = self.change(self.records), True
            number += 1


def clients(count: int) -> Records:
    return [client(n) for n in range(1, count + 1)]


def move_to_the_end(records: Records) -> Records:
    moved = [one | {"updated_at": "2025-06-30T13:00:00Z"} for one in records if one["id"] == 3]
    return [one for one in records if one["id"] != 3] + moved


def swap(records: Records) -> Records:
    return [one for one in records if one["id"] != 3] + [client(61)]


@pytest.mark.parametrize("change", [move_to_the_end, swap])
def test_a_record_that_slips_past_a_page_border_is_not_deleted(
    make: MakeWorld, change: Callable[[Records], Records]
) -> None:
    world = make(clients(60))
    world.sync_once()
    world.source = MovingSource(clients(60), change)
    run = world.sync_once(full_refresh=True)
    assert run["status"] == "completed"
    assert {str(n) for n in range(1, 61)} - set(world.rows()) <= {"3"}


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("slipped", [client(21, name="new"), client(99, name="new"), client(21, email={})])
def test_what_slips_past_a_page_border_is_brought_all_the_same(
    make: MakeWorld, counted: bool, slipped: dict[str, Any]
) -> None:
    """At the second look, or with the next run where the total tells that one is missing. Record 22 has really gone."""
    world = make(clients(60), cursor_overlap=1)
    world.sync_once()
    records = [*clients(20), slipped, *clients(60)[22:]]
    world.source = MovingSource(records, move_to_the_end, counted)
    run = world.sync_once(full_refresh=True)
    if counted:
        assert "nothing deleted" in run["steps"][0]["note"]
        run = world.sync_once()
    created, failed = slipped["id"] == 99, slipped["email"] == {}
    # The record that moved to the end is read twice.
    assert world.counts(run)[0] == sum(world.counts(run)[1:4]) + failed == (59 if counted else 60)
    assert (run["records_created"], run["records_failed"]) == (created, failed)
    assert run["records_deleted"] == (0 if counted else 1 + created)
    assert world.query("SELECT external_id FROM dead_letters WHERE sync_id = %s", run["sync_id"]) == (
        [{"external_id": "21"}] if failed else []
    )
    assert failed or world.rows()[str(slipped["id"])]["name"] == "new"


def test_what_is_still_missing_at_the_second_look_leaves(make: MakeWorld) -> None:
    world = make(clients(60))
    world.sync_once()
    world.source.records = clients(60)[1:]
    run = world.sync_once(full_refresh=True)
    assert world.counts(run) == (59, 0, 0, 59, 1, 0)
    assert len(world.source.requests) == 3
    assert "1" not in world.rows()


def test_the_second_look_goes_on_after_an_interruption(make: MakeWorld) -> None:
    world = make(clients(60))
    world.sync_once()
    world.source = ListSource(clients(60)[1:], page_size=10)
    fail = fail_once_at(4, ConnectionFailed("cut"))
    world.source.before_page = lambda page: fail(page) if len(world.source.requests) == 2 else None
    sync_id = world.trigger(full_refresh=True)
    assert world.execute(sync_id) == "retrying"
    world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert world.execute(sync_id) == "completed"
    assert world.source.requests[-1].position == {"page": 4}
    assert world.counts(world.run(sync_id)) == (59, 0, 0, 59, 1, 0)


def test_a_source_that_only_grows_becomes_incremental(make: MakeWorld) -> None:
    world = make([])
    world.source = MovingSource(clients(60), lambda records: [*records, client(61)])
    world.sync_once()
    world.sync_once()
    assert world.source.sinces[0] is None
    assert world.source.sinces[1] is not None


def test_a_short_read_moves_neither_cursor_nor_clock(make: MakeWorld) -> None:
    world = make(clients(40))
    world.source.total = 60
    run = world.sync_once()
    assert "named 60 records and sent 40" in run["steps"][0]["note"]
    assert world.query("SELECT * FROM stream_states") == []


def test_an_incremental_read_that_missed_a_record_reads_it_again(make: MakeWorld) -> None:
    world = make(clients(60), cursor_overlap=1)
    world.sync_once()
    before = world.query("SELECT cursor FROM stream_states")
    world.source = MovingSource([one | {"name": "new"} for one in clients(60)], move_to_the_end)
    world.sync_once()
    assert world.query("SELECT cursor FROM stream_states") == before
    world.sync_once()
    assert {row["name"] for row in world.rows().values()} == {"new"}


def test_an_interruption_after_the_last_page_reads_nothing_again(make: MakeWorld, monkeypatch: Any) -> None:
    world = make(clients(50))
    stop: list[bool] = []
    world.stop = lambda: bool(stop)
    write = commit.write_checkpoint

    def stop_after_the_last(connection: Any, lease: Any, stream: str, expected: int, values: Any) -> None:
        write(connection, lease, stream, expected, values)
        if expected == 4:
            stop.append(True)

    monkeypatch.setattr(commit, "write_checkpoint", stop_after_the_last)
    sync_id = world.trigger()
    assert world.execute(sync_id) in ("released", "completed")
    stop.clear()
    world.execute(sync_id)
    assert world.counts(world.run(sync_id)) == (50, 50, 0, 0, 0, 0)
    assert len(world.source.requests) == 1


def test_mock_records_never_stand_in_for_the_rest_of_a_real_read(make: MakeWorld) -> None:
    world = make(clients(60), mock_fallback=True, worker_max_retries=0)
    world.policy, world.mock = Policy(mock_fallback=True), ListSource([client(900)])
    world.sync_once()
    world.source.before_page = fail_once_at(6, RateLimited("later", retry_after=1))
    failed = world.trigger(full_refresh=True)
    world.execute(failed)
    cancel_run(world.database, DEFAULT, failed, SYSTEM)
    world.source.before_page = always(ConnectionFailed("down"))
    retried = retry_run(world.database, DEFAULT, world.settings, utc_now, failed)
    assert world.execute(retried.sync_id) == "failed"
    assert len(world.rows()) == 60


def test_mock_records_never_follow_real_ones_within_an_attempt(make: MakeWorld) -> None:
    world = make(clients(60), mock_fallback=True)
    world.policy, world.mock = Policy(mock_fallback=True), ListSource([client(900)])
    world.source.before_page = fail_once_at(4, ConnectionFailed("cut"))
    sync_id = world.trigger()
    assert world.execute(sync_id) == "retrying"
    assert world.run(sync_id)["records_processed"] == 30
    world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert world.execute(sync_id) == "completed"
    assert (world.run(sync_id)["source"], len(world.rows())) == ("live", 60)


def with_a_dead_letter(make: MakeWorld, **settings: Any) -> tuple[World, str]:
    world = make([client(1), client(2, email={})], **settings)
    return world, str(world.sync_once()["sync_id"])


def test_the_retry_of_a_replay_is_a_replay(make: MakeWorld) -> None:
    world, first = with_a_dead_letter(make)
    replay = replay_errors(world.database, DEFAULT, world.settings, utc_now, first)
    cancel_run(world.database, DEFAULT, replay.sync_id, SYSTEM)
    again = retry_run(world.database, DEFAULT, world.settings, utc_now, replay.sync_id)
    requests = len(world.source.requests)
    assert world.execute(again.sync_id) == "completed"
    assert len(world.source.requests) == requests


def test_a_replay_in_flight_is_not_what_a_trigger_asked_for(make: MakeWorld) -> None:
    world, first = with_a_dead_letter(make)
    replay_errors(world.database, DEFAULT, world.settings, utc_now, first)
    with pytest.raises(Conflict):
        world.trigger()


def test_a_replay_that_fails_again_leaves_the_newer_row_alone(make: MakeWorld) -> None:
    world, first = with_a_dead_letter(make)
    world.source.records = [client(1), client(2)]
    world.sync_once(full_refresh=True)
    replay = replay_errors(world.database, DEFAULT, world.settings, utc_now, first)
    world.execute(replay.sync_id)
    assert world.rows()["2"]["sync_status"] == "synced"


def test_a_mass_delete_is_allowed_for_one_run_alone(make: MakeWorld) -> None:
    world = make(clients(40), worker_max_retries=0)
    world.sync_once()
    world.source.before_page = fail_once_at(2, ConnectionFailed("cut"))
    failed = world.sync_once(full_refresh=True, allow_mass_delete=True)
    world.source.records = []
    retried = retry_run(world.database, DEFAULT, world.settings, utc_now, failed["sync_id"])
    world.execute(retried.sync_id)
    assert not world.run(retried.sync_id)["allow_mass_delete"]
    assert len(world.rows()) == 40


def test_cancel_holds_while_the_run_is_being_parked(make: MakeWorld) -> None:
    world = make(clients(30))
    sync_id = world.trigger()

    def cancel_and_limit(page: int) -> None:
        if page == 2:
            with world.database.connection() as connection:
                connection.execute("UPDATE sync_runs SET cancel_requested_at = now()")
            raise RateLimited("later", retry_after=3_600)

    world.source.before_page = cancel_and_limit
    world.execute(sync_id)
    reap(world.database, world.settings)
    run = world.run(sync_id)
    assert (run["status"], run["resume_at"], run["steps"][0]["status"]) == ("cancelled", None, "cancelled")


def test_a_live_run_leaves_the_keys_of_a_dry_run_alone(make: MakeWorld) -> None:
    world = make(clients(40))
    world.sync_once()
    world.source.before_page = fail_once_at(3, RateLimited("later", retry_after=1))
    dry = world.trigger(dry_run=True, full_refresh=True)
    assert world.execute(dry) == "parked"
    world.sync_once(full_refresh=True)
    world.query("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s RETURNING 1", dry)
    assert world.execute(dry) == "completed"
    assert world.run(dry)["records_deleted"] == 0


@pytest.mark.parametrize("levels", [200, 300, 900, 5_000])
def test_a_record_nested_deeply_is_one_dead_letter(make: MakeWorld, levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = {"a": deep}
    world = make([client(1), client(2, email=deep), client(3, email=2**80), client(10**400)])
    run = world.sync_once()
    assert (run["status"], world.counts(run)[5]) == ("completed", 2)
    assert set(world.rows()) == {"1", "3"}


def test_the_cursor_of_a_long_read_is_the_time_of_its_first_page(make: MakeWorld) -> None:
    world = make([client(n, updated_at=f"2025-06-30T12:{n:02d}:00Z") for n in range(1, 31)], batch_records=10)
    world.source.source_time = utc(2025, 6, 30, 12, 10)
    world.sync_once()
    assert world.query("SELECT cursor FROM stream_states") == [{"cursor": "2025-06-30T12:10:00.000000Z"}]
