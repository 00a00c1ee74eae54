"""One run undone by another: what it changed goes back, and nothing that was changed since."""

from __future__ import annotations

from typing import Any

import pytest

from syncapp.definition import Policy
from tests.integration.engine import MakeWorld, World, client, kill_after_batch


def undo(world: World, run: dict[str, Any]) -> dict[str, Any]:
    return world.sync_once(undo_of=run["sync_id"])


def state(world: World) -> list[tuple[Any, ...]]:
    found = world.query("SELECT external_id, name, email, phone, source_updated_at, deleted_at FROM clients ORDER BY 1")
    return [(*(*row.values(),)[:-1], row["deleted_at"] is None) for row in found]


@pytest.fixture
def changed(make: MakeWorld) -> tuple[World, dict[str, Any]]:
    """Of thirty rows one is renamed, one loses a field, one is new, one has left."""
    world = make([client(n) for n in range(1, 31)])
    world.policy = Policy(record_changes=True)
    world.sync_once()
    world.source.records[0] = client(1, name="Renamed", email="new@example.com")
    world.source.records[1] = client(2, phone=None)
    world.source.records[29] = client(99)
    return world, world.sync_once(full_refresh=True)


def test_everything_a_run_changed_goes_back(changed: tuple[World, dict[str, Any]]) -> None:
    world, run = changed
    assert world.counts(run)[1:5] == (1, 2, 27, 1)
    undone = undo(world, run)
    assert undone["status"] == "completed"
    assert world.counts(undone) == (4, 1, 2, 0, 1, 0)
    assert [row for row in state(world) if row[-1]] == [
        (str(n), f"Client {n}", f"client{n}@example.com", "+1 555 0100", row[4], True)
        for row in state(world)
        if row[-1] and (n := int(row[0])) <= 30
    ]
    assert {row[0] for row in state(world) if not row[-1]} == {"99"}


def test_an_undo_can_be_undone(changed: tuple[World, dict[str, Any]]) -> None:
    world, run = changed
    there = state(world)
    undone = undo(world, run)
    assert state(world) != there
    assert undo(world, undone)["status"] == "completed"
    assert state(world) == there


def test_what_was_changed_since_stays_and_is_named(changed: tuple[World, dict[str, Any]]) -> None:
    world, run = changed
    world.query("UPDATE clients SET email = 'mine@example.com' WHERE external_id = '1' RETURNING 1")
    world.query("DELETE FROM clients WHERE external_id = '2' RETURNING 1")
    undone = undo(world, run)
    assert world.counts(undone) == (4, 1, 0, 0, 1, 2)
    kept = world.query("SELECT * FROM dead_letters ORDER BY external_id")
    assert [(one["external_id"], one["error_type"], one["replayable"]) for one in kept] == [
        ("1", "conflict", False),
        ("2", "conflict", False),
    ]
    assert kept[0]["message"] == (
        'email was changed again since: the run had set "new@example.com", now it is "mine@example.com"'
    )
    assert world.rows()["1"]["name"] == "Renamed"  # both of its fields stay, the one nobody touched as well


def test_a_lost_worker_undoes_nothing_twice(
    changed: tuple[World, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, run = changed
    for number in range(3, 29):
        world.source.records[number - 1] = client(number, name=f"Renamed {number}")
    run = world.sync_once(full_refresh=True)
    monkeypatch.setattr("syncapp.engine.undo.PAGE", 10)
    sync_id = world.trigger(undo_of=run["sync_id"])
    kill_after_batch(world, monkeypatch, 1, sync_id)
    world.query("UPDATE sync_runs SET lease_expires_at = now() - interval '1 s', lease_owner = NULL RETURNING 1")
    assert world.execute(sync_id) == "completed"
    assert world.counts(world.run(sync_id)) == (26, 0, 26, 0, 0, 0)
    assert {row["name"] for key, row in world.rows().items() if 3 <= int(key) <= 28} == {
        f"Client {n}" for n in range(3, 29)
    }


def test_the_next_read_brings_the_rows_back_to_what_the_source_says(changed: tuple[World, dict[str, Any]]) -> None:
    world, run = changed
    there = state(world)
    undo(world, run)
    again = world.sync_once(full_refresh=True)
    assert world.counts(again)[1:5] == (1, 2, 27, 1)
    assert state(world) == there


def test_nothing_moves_a_cursor_or_deletes_when_a_run_is_undone(changed: tuple[World, dict[str, Any]]) -> None:
    world, run = changed
    before = world.query("SELECT * FROM stream_states")
    undo(world, run)
    assert world.query("SELECT * FROM stream_states") == before
