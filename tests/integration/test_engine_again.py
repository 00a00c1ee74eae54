"""The engine against a real PostgreSQL: runs that go on with what an earlier one left: retries and replays."""

from __future__ import annotations

import pytest

from syncapp.commands import replay_errors, retry_run
from syncapp.definition import Policy
from syncapp.engine.runtime import utc_now
from syncapp.errors import Conflict, ConnectionFailed
from syncapp.sweep import reap
from syncapp.testing import ListSource
from tests.integration.engine import DEFAULT, MakeWorld, World, always, client, fail_once_at, kill_after_batch


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
