"""The engine against a real PostgreSQL: what happens to a run that is interrupted, refused, stopped or taken over."""

from __future__ import annotations

import itertools
import threading

import pytest

from syncapp.audit import SYSTEM
from syncapp.commands import cancel_run
from syncapp.errors import CircuitOpen, Conflict, ConnectionFailed, RateLimited
from tests.integration.engine import (
    DEFAULT,
    MakeWorld,
    always,
    client,
    fail_once_at,
    take_over,
)


def test_an_interrupted_run_goes_on_from_the_last_batch(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 61)])
    world.source.before_page = fail_once_at(4, ConnectionFailed("cut"))
    sync_id = world.trigger()
    assert world.execute(sync_id) == "retrying"
    run = world.run(sync_id)
    assert (run["status"], run["attempt"], run["records_processed"]) == ("running", 1, 30)
    assert run["resume_at"] is not None
    assert world.execute(sync_id) == "skipped"  # not due yet
    world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert world.execute(sync_id) == "completed"
    run = world.run(sync_id)
    assert world.counts(run) == (60, 60, 0, 0, 0, 0)
    assert run["attempt"] == 2
    assert world.source.requests[-1].position == {"page": 4}
    kinds = [event["kind"] for event in world.query("SELECT seq, kind FROM run_events ORDER BY seq")]
    assert kinds[0] == "started"
    assert kinds[-1] == "completed"
    assert [e["seq"] for e in world.query("SELECT seq FROM run_events ORDER BY seq")] == [*range(1, len(kinds) + 1)]


def test_attempts_run_out(make: MakeWorld) -> None:
    world = make([client(1)], worker_max_retries=1)
    world.source.before_page = always(ConnectionFailed("down"))
    sync_id = world.trigger()
    assert world.execute(sync_id) == "retrying"
    world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert world.execute(sync_id) == "failed"
    assert world.run(sync_id)["error_type"] == "api_connection_failed"


def test_a_rate_limit_parks_the_run_and_spends_no_attempt(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)], worker_max_retries=0)
    world.source.before_page = fail_once_at(2, RateLimited("slow down", retry_after=120))
    sync_id = world.trigger()
    assert world.execute(sync_id) == "parked"
    run = world.run(sync_id)
    assert (run["status"], run["attempt"], run["error_type"]) == ("running", 0, "rate_limit_exceeded")
    waits = world.query("SELECT extract(epoch FROM resume_at - now())::float AS wait FROM sync_runs")[0]["wait"]
    assert 100 < waits <= 120
    world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert world.execute(sync_id) == "completed"
    run = world.run(sync_id)
    assert (world.counts(run), run["error_type"]) == ((30, 30, 0, 0, 0, 0), None)


@pytest.mark.parametrize(("allowed", "parked"), [(1, 4), (2, 2), (3, 1)])
def test_a_source_that_allows_less_than_a_batch_at_a_time_is_read_all_the_same(
    make: MakeWorld, allowed: int, parked: int
) -> None:
    world = make([client(n) for n in range(1, 61)], batch_records=50, worker_max_retries=0)
    sync_id, asked = world.trigger(), itertools.count(1)

    def limit(page: int) -> None:
        if page > 1 and next(asked) % (allowed + 1) == 0:
            raise RateLimited("slow down", retry_after=1)

    world.source.before_page = limit
    read = [0]
    while world.execute(sync_id) == "parked":
        run = world.run(sync_id)
        assert run["records_processed"] == run["steps"][0]["pages"] * 10 > read[-1]
        read.append(run["records_processed"])
        world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert len(read) == 1 + parked
    run = world.run(sync_id)
    assert (run["status"], run["attempt"], run["steps"][0]["pages"]) == ("completed", 1, 6)
    assert world.counts(run) == (60, 60, 0, 0, 0, 0)


def test_a_worker_without_its_lease_writes_nothing(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    sync_id = world.trigger()
    world.source.before_page = lambda page: take_over(world) if page == 2 else None
    assert world.execute(sync_id) == "skipped"
    assert len(world.rows()) <= 10
    assert world.run(sync_id)["records_processed"] == len(world.rows())


def test_a_message_that_comes_twice_is_a_no_op(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    sync_id = world.trigger()
    outcomes: list[str] = []
    world.source.before_page = lambda page: outcomes.append(world.execute(sync_id)) if page == 2 else None
    assert world.execute(sync_id) == "completed"
    assert outcomes == ["skipped"]
    assert world.execute(sync_id) == "skipped"
    assert world.counts(world.run(sync_id)) == (30, 30, 0, 0, 0, 0)


def test_a_process_that_is_asked_to_end_releases_the_run(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 61)])
    asked: list[bool] = []
    world.source.before_page = lambda page: asked.append(True) if page == 3 else None
    world.stop = lambda: bool(asked)
    sync_id = world.trigger()
    assert world.execute(sync_id) == "released"
    run = world.run(sync_id)
    assert (run["status"], run["attempt"], run["dispatched_at"], run["lease_expires_at"]) == ("running", 0, None, None)
    world.stop = lambda: False
    assert world.execute(sync_id) == "completed"
    assert world.counts(world.run(sync_id)) == (60, 60, 0, 0, 0, 0)


def test_the_circuit_opens_after_failures_in_a_row_and_closes_on_success(make: MakeWorld) -> None:
    world = make([client(1)], worker_max_retries=0, sync_max_consecutive_failures=2)
    world.source.before_page = always(ConnectionFailed("down"))
    world.sync_once()
    assert world.query("SELECT failures, open_until FROM circuits") == [{"failures": 1, "open_until": None}]
    run = world.sync_once()
    assert [step["status"] for step in run["steps"]] == ["failed"]
    assert world.query("SELECT open_until > now() AS open FROM circuits") == [{"open": True}]
    with pytest.raises(CircuitOpen) as refused:
        world.trigger()
    assert 0 < (refused.value.retry_after or 0) <= 60
    world.source.before_page = None
    world.sync_once(force=True)
    assert world.query("SELECT * FROM circuits") == []
    assert world.sync_once()["status"] == "completed"


def test_a_cancelled_run_stops_within_a_page(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 101)])
    sync_id = world.trigger()
    world.source.before_page = lambda page: cancel_run(world.database, DEFAULT, sync_id, SYSTEM) if page == 3 else None
    assert world.execute(sync_id) == "cancelled"
    run = world.run(sync_id)
    assert (run["status"], run["error_type"]) == ("cancelled", "cancelled")
    assert run["records_processed"] == len(world.rows()) < 100
    assert world.execute(sync_id) == "skipped"


@pytest.mark.parametrize("look", [1, 2])
def test_a_run_that_is_cancelled_with_its_last_batch_deletes_nothing(make: MakeWorld, look: int) -> None:
    world = make([client(n) for n in range(1, 31)], batch_records=100)
    world.sync_once()
    del world.source.records[0]
    sync_id = world.trigger(full_refresh=True)
    last = lambda page: (page, len(world.source.requests)) == (3, look + 1)  # noqa: E731
    world.source.before_page = lambda page: cancel_run(world.database, DEFAULT, sync_id, SYSTEM) if last(page) else None
    assert world.execute(sync_id) == "cancelled"
    assert world.run(sync_id)["records_processed"] == 29
    assert len(world.rows()) == 30


def test_a_run_that_nobody_holds_is_cancelled_at_once(make: MakeWorld) -> None:
    world = make([client(1)])
    sync_id = world.trigger()
    assert cancel_run(world.database, DEFAULT, sync_id, SYSTEM) == "cancelled"
    assert world.execute(sync_id) == "skipped"
    with pytest.raises(Conflict):
        cancel_run(world.database, DEFAULT, sync_id, SYSTEM)


def test_a_slow_source_is_left_as_soon_as_the_run_is_cancelled(make: MakeWorld) -> None:
    """The page that hangs is not waited for."""
    world = make([client(n) for n in range(1, 31)])
    sync_id = world.trigger()
    hang = threading.Event()

    def hang_at(page: int) -> None:
        if page == 2:
            cancel_run(world.database, DEFAULT, sync_id, SYSTEM)
            hang.wait(60)

    world.source.before_page = hang_at
    assert world.execute(sync_id) == "cancelled"
    assert not hang.is_set()
    hang.set()
