"""The engine against a real PostgreSQL: what happens to a run that is interrupted, refused, stopped or taken over."""

from __future__ import annotations

import threading

import pytest

from syncapp.commands import cancel_run, replay_errors, retry_run
from syncapp.definition import Policy
from syncapp.engine.runtime import utc_now
from syncapp.errors import CircuitOpen, Conflict, ConnectionFailed, RateLimited
from syncapp.sweep import reap
from syncapp.testing import ListSource
from tests.integration.engine import (
    DEFAULT,
    MakeWorld,
    World,
    always,
    client,
    fail_once_at,
    kill_after_batch,
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


def test_a_replay_says_nothing_about_the_source(make: MakeWorld) -> None:
    world = make([client(1, email=[])], worker_max_retries=0)
    first = world.sync_once()
    world.source.before_page = always(ConnectionFailed("down"))
    world.sync_once()
    answer = replay_errors(world.database, DEFAULT, world.settings, utc_now, first["sync_id"])
    assert world.execute(answer.sync_id) == "completed"
    assert world.query("SELECT failures FROM circuits") == [{"failures": 1}]


def test_a_retried_run_goes_on_from_the_checkpoint(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 61)], worker_max_retries=0)
    world.source.before_page = fail_once_at(4, ConnectionFailed("cut"))
    failed = world.sync_once()
    assert failed["status"] == "failed"
    answer = retry_run(world.database, DEFAULT, world.settings, utc_now, failed["sync_id"])
    assert world.execute(answer.sync_id) == "completed"
    run = world.run(answer.sync_id)
    assert (run["trigger"], world.counts(run)) == ("retry", (30, 30, 0, 0, 0, 0))
    assert len(world.rows()) == 60
    with pytest.raises(Conflict):
        retry_run(world.database, DEFAULT, world.settings, utc_now, answer.sync_id)


def lose_after_batch(world: World, monkeypatch: pytest.MonkeyPatch, number: int, sync_id: str) -> None:
    """No other worker takes the run up in time."""
    kill_after_batch(world, monkeypatch, number, sync_id)
    world.query("UPDATE sync_runs SET attempt = 99, lease_expires_at = now() WHERE sync_id = %s RETURNING 1", sync_id)
    assert reap(world.database, world.settings) == 1


def test_the_retry_of_a_mock_run_is_a_mock_run(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make([client(1)], mock_fallback=True)
    world.policy, world.mock = Policy(mock_fallback=True), ListSource([client(7), client(8)])
    world.source.before_page = always(ConnectionFailed("down"))
    sync_id = world.trigger()
    lose_after_batch(world, monkeypatch, 1, sync_id)
    answer = retry_run(world.database, DEFAULT, world.settings, utc_now, sync_id)
    assert world.execute(answer.sync_id) == "completed"
    assert world.run(answer.sync_id)["source"] == "mock"
    assert {key: row["is_mock"] for key, row in world.rows().items()} == {"7": True, "8": True}


def test_a_retry_from_the_last_page_looks_again_before_it_deletes(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    del world.source.records[0]
    sync_id = world.trigger(full_refresh=True)
    lose_after_batch(world, monkeypatch, 3, sync_id)
    world.source.records.insert(0, client(1))  # it had only moved from one page to another
    answer = retry_run(world.database, DEFAULT, world.settings, utc_now, sync_id)
    assert world.execute(answer.sync_id) == "completed"
    assert len(world.rows()) == 30


def test_dead_letters_are_replayed_once_and_never_over_newer_rows(make: MakeWorld) -> None:
    bad = [client(1, name={}, updated_at="2025-06-01T00:00:00Z"), client(2, email=[])]
    world = make([*bad, client(3)])
    run = world.sync_once()
    assert world.counts(run)[5] == 2
    world.query(
        'UPDATE dead_letters SET record = record || \'{"name": "old", "email": "mended@example.com"}\' RETURNING 1'
    )
    world.source.records[0] = client(1, name="newer")
    world.sync_once()
    answer = replay_errors(world.database, DEFAULT, world.settings, utc_now, run["sync_id"])
    assert world.execute(answer.sync_id) == "completed"
    assert world.rows()["1"]["name"] == "newer"
    assert world.rows()["2"]["email"] == "mended@example.com"
    assert world.query("SELECT 1 FROM dead_letters WHERE replayed_at IS NULL AND sync_id = %s", run["sync_id"]) == []
    with pytest.raises(Conflict):
        replay_errors(world.database, DEFAULT, world.settings, utc_now, run["sync_id"])


def test_a_replay_brings_no_row_back_that_has_left(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    world.source.records[0] = client(1, email=[])
    failed = world.sync_once(full_refresh=True)
    del world.source.records[0]
    world.sync_once(full_refresh=True)
    world.query("UPDATE dead_letters SET record = record || '{\"email\": null}' RETURNING 1")
    answer = replay_errors(world.database, DEFAULT, world.settings, utc_now, failed["sync_id"])
    assert world.execute(answer.sync_id) == "completed"
    assert world.counts(world.run(answer.sync_id)) == (1, 0, 0, 1, 0, 0)
    assert "1" not in world.rows()


def test_what_could_only_be_stored_altered_is_never_written(make: MakeWorld) -> None:
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    altered = [client(1, name="NUL \x00"), client(2, name="half \ud800"), client(3, name="x" * 300_000)]
    world = make([*altered, client(4, email=deep), client(5, email=[]), client(6)])
    run = world.sync_once()
    assert world.counts(run)[5] == 5
    letters = world.query("SELECT external_id, replayable FROM dead_letters ORDER BY external_id")
    assert [(letter["external_id"], letter["replayable"]) for letter in letters] == [
        ("1", False),
        ("2", False),
        ("3", False),
        ("4", False),
        ("5", True),
    ]
    world.query("UPDATE dead_letters SET record = record || '{\"email\": null}' WHERE external_id = '5' RETURNING 1")
    answer = replay_errors(world.database, DEFAULT, world.settings, utc_now, run["sync_id"])
    assert answer.message == f"Replay of 1 failed record of {run['sync_id']} started"
    assert world.execute(answer.sync_id) == "completed"
    assert world.counts(world.run(answer.sync_id)) == (1, 1, 0, 0, 0, 0)
    assert set(world.rows()) == {"5", "6"}
    waiting = world.query("SELECT external_id FROM dead_letters WHERE replayed_at IS NULL")
    assert len(waiting) == 4
    with pytest.raises(Conflict, match="4 failed records could only be stored altered"):
        replay_errors(world.database, DEFAULT, world.settings, utc_now, run["sync_id"])


def test_a_cancelled_run_stops_within_a_page(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 101)])
    sync_id = world.trigger()
    world.source.before_page = lambda page: cancel_run(world.database, DEFAULT, sync_id) if page == 3 else None
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
    world.source.before_page = lambda page: cancel_run(world.database, DEFAULT, sync_id) if last(page) else None
    assert world.execute(sync_id) == "cancelled"
    assert world.run(sync_id)["records_processed"] == 29
    assert len(world.rows()) == 30


def test_a_run_that_nobody_holds_is_cancelled_at_once(make: MakeWorld) -> None:
    world = make([client(1)])
    sync_id = world.trigger()
    assert cancel_run(world.database, DEFAULT, sync_id) == "cancelled"
    assert world.execute(sync_id) == "skipped"
    with pytest.raises(Conflict):
        cancel_run(world.database, DEFAULT, sync_id)


def test_a_slow_source_is_left_as_soon_as_the_run_is_cancelled(make: MakeWorld) -> None:
    """The page that hangs is not waited for."""
    world = make([client(n) for n in range(1, 31)])
    sync_id = world.trigger()
    hang = threading.Event()

    def hang_at(page: int) -> None:
        if page == 2:
            cancel_run(world.database, DEFAULT, sync_id)
            hang.wait(60)

    world.source.before_page = hang_at
    assert world.execute(sync_id) == "cancelled"
    assert not hang.is_set()
    hang.set()
