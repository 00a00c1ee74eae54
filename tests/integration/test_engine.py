"""The engine against a real PostgreSQL: what a run reads, writes, counts, deletes and leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from syncapp.definition import Policy
from syncapp.errors import ConnectionFailed
from syncapp.records import Row
from syncapp.testing import ListSource
from tests.integration.engine import MakeWorld, always, client, utc


def test_first_run_creates_every_record(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 36)])
    run = world.sync_once()
    assert run["status"] == "completed"
    assert world.counts(run) == (35, 35, 0, 0, 0, 0)
    assert run["source"] == "live"
    assert {key: row["email"] for key, row in world.rows().items()} == {
        str(n): f"client{n}@example.com" for n in range(1, 36)
    }
    assert [step["status"] for step in run["steps"]] == ["completed"]
    assert run["steps"][0]["records_created"] == 35


def test_unchanged_records_are_not_rewritten(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 36)])
    world.sync_once()
    before = world.query("SELECT external_id, xmin::text FROM clients ORDER BY 1")
    run = world.sync_once(full_refresh=True)
    assert world.counts(run) == (35, 0, 0, 35, 0, 0)
    assert world.query("SELECT external_id, xmin::text FROM clients ORDER BY 1") == before


def test_only_changed_records_are_updated(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 36)])
    world.sync_once()
    world.source.records[3]["name"] = "Renamed"
    run = world.sync_once(full_refresh=True)
    assert world.counts(run) == (35, 0, 1, 34, 0, 0)
    assert world.rows()["4"]["name"] == "Renamed"


def test_a_row_that_somebody_changed_is_put_right(make: MakeWorld) -> None:
    world = make([client(1), client(2)])
    world.sync_once()
    world.query("UPDATE clients SET name = 'by hand' WHERE external_id = '1' RETURNING id")
    run = world.sync_once(full_refresh=True)
    assert world.counts(run) == (2, 0, 1, 1, 0, 0)
    assert world.rows()["1"]["name"] == "Client 1"


def test_incremental_run_asks_from_the_cursor_less_the_overlap(make: MakeWorld) -> None:
    world = make([client(1), client(2, updated_at="2025-06-30T13:00:00Z")], cursor_overlap=60)
    world.sync_once()
    world.source.records.append(client(3, updated_at="2025-06-30T14:00:00Z"))
    run = world.sync_once()
    assert world.source.requests[-1].since == "2025-06-30T12:59:00.000000Z"
    assert world.counts(run) == (2, 1, 0, 1, 0, 0)


def test_cursor_never_passes_the_sources_own_clock(make: MakeWorld) -> None:
    world = make([client(1, updated_at="2099-01-01T00:00:00Z")], cursor_overlap=60)
    world.source.source_time = utc(2025, 7, 1, 12)
    world.sync_once()
    world.sync_once()
    assert world.source.requests[-1].since == "2025-07-01T11:59:00.000000Z"


@pytest.mark.parametrize(
    ("hours_ago", "next_in", "enabled", "due"),
    [
        (25, 6, False, True),
        (19, 6, True, True),
        (17, 6, True, False),
        (19, 6, False, False),
        (25, -1, True, True),
        (1, 160, True, False),
        (25, 160, True, True),
    ],
)
def test_complete_read_comes_before_it_would_be_late(
    make: MakeWorld, hours_ago: int, next_in: int, enabled: bool, due: bool
) -> None:
    world = make([client(n) for n in range(1, 31)], full_refresh_interval="24h")
    world.sync_once()
    world.query(
        "INSERT INTO schedules (name, cron, enabled, next_run_at) "
        "VALUES ('clients', '0 */6 * * *', %s, now() + make_interval(hours => %s)) RETURNING 1",
        enabled,
        next_in,
    )
    world.query("UPDATE stream_states SET last_complete_at = now() - make_interval(hours => %s) RETURNING 1", hours_ago)
    del world.source.records[0]
    run = world.sync_once(force=not enabled)
    assert (world.source.requests[-1].since is None) == due
    assert run["records_deleted"] == due
    assert world.query("SELECT deleted_at IS NOT NULL AS gone FROM clients WHERE external_id = '1'")[0]["gone"] == due


def test_incremental_run_deletes_nothing(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    world.source.records.clear()
    run = world.sync_once()
    assert run["status"] == "completed"
    assert len(world.rows()) == 30


@pytest.mark.parametrize("rows", [1, 30])
def test_empty_complete_read_deletes_nothing(make: MakeWorld, rows: int) -> None:
    world = make([client(n) for n in range(1, rows + 1)])
    world.sync_once()
    world.source.records.clear()
    run = world.sync_once(full_refresh=True)
    assert (run["status"], run["error_type"]) == ("failed", "mass_delete_refused")
    assert len(world.rows()) == rows


def test_mass_delete_is_refused_and_can_be_allowed_once(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    world.source.records = world.source.records[:10]
    refused = world.sync_once(full_refresh=True)
    assert (refused["status"], refused["error_type"]) == ("failed", "mass_delete_refused")
    assert len(world.rows()) == 30
    allowed = world.sync_once(full_refresh=True, allow_mass_delete=True)
    assert allowed["records_deleted"] == 20
    assert len(world.rows()) == 10


def test_a_record_that_comes_back_is_live_again(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    gone = world.source.records.pop()
    world.sync_once(full_refresh=True)
    assert len(world.rows()) == 29
    world.source.records.append(gone)
    run = world.sync_once(full_refresh=True)
    assert world.counts(run) == (30, 0, 1, 29, 0, 0)
    assert len(world.rows()) == 30


def test_a_source_that_changed_while_it_was_read_deletes_nothing(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    del world.source.records[0]
    world.source.total = 30  # the page the vanished record stood on had been read: the others moved up
    run = world.sync_once(full_refresh=True)
    assert run["status"] == "completed"
    assert "nothing deleted" in run["steps"][0]["note"]
    assert len(world.rows()) == 30


def test_removal_marks_delete_softly(make: MakeWorld) -> None:
    world = make([client(1), client(2)])
    world.sync_once()
    world.source.records[0] = client(1, deleted_at="2025-07-01T00:00:00Z")
    run = world.sync_once()
    assert world.counts(run) == (2, 0, 0, 1, 1, 0)
    assert set(world.rows()) == {"2"}


def test_bad_records_become_dead_letters_and_never_stop_the_run(make: MakeWorld) -> None:
    bad: list[Any] = [
        "not an object",
        {"name": "no id"},
        client(3, name="NUL \x00"),
        client(4, email=["a"]),
        client(5, updated_at="never"),
        client(6, name="x" * 20_000),
        {"id": "y" * 300},
        None,
        client(8, id=True),
    ]
    world = make([client(1), *bad, client(2)])
    run = world.sync_once()
    assert run["status"] == "completed"
    assert world.counts(run) == (11, 2, 0, 0, 0, 9)
    letters = world.query("SELECT external_id, error_type, message, record FROM dead_letters ORDER BY id")
    assert len(letters) == 9
    assert {letter["error_type"] for letter in letters} == {"invalid_data_format"}
    assert sorted(letter["external_id"] for letter in letters if letter["external_id"]) == ["3", "4", "5", "6"]
    assert set(world.rows()) == {"1", "2"}


def test_a_record_that_fails_marks_its_row_and_is_mended_later(make: MakeWorld) -> None:
    world = make([client(1), client(2)])
    world.sync_once()
    world.source.records[0] = client(1, email={})
    world.sync_once(full_refresh=True)
    row = world.rows()["1"]
    assert (row["sync_status"], row["email"]) == ("error", "client1@example.com")
    assert "email" in row["sync_errors"]
    world.source.records[0] = client(1)
    run = world.sync_once(full_refresh=True)
    assert world.counts(run) == (2, 0, 1, 1, 0, 0)
    assert (world.rows()["1"]["sync_status"], world.rows()["1"]["sync_errors"]) == ("synced", None)


def test_duplicates_within_and_across_pages(make: MakeWorld) -> None:
    newer = client(1, name="newer", updated_at="2025-07-01T00:00:00Z")
    world = make([newer, client(1, name="older"), *(client(n) for n in range(2, 21)), client(2, name="last")])
    run = world.sync_once()
    assert world.rows()["1"]["name"] == "newer"
    assert world.rows()["2"]["name"] == "last"
    assert world.counts(run) == (22, 20, 1, 1, 0, 0)


def test_mock_records_stand_in_marked_and_leave_again(make: MakeWorld) -> None:
    world = make([client(1), client(2)], mock_fallback=True)
    world.policy = Policy(mock_fallback=True)
    world.sync_once()
    world.mock = ListSource([client(2, name="mock"), client(7)])
    world.source.before_page = always(ConnectionFailed("down"))
    run = world.sync_once()
    assert (run["status"], run["source"]) == ("completed", "mock")
    rows = world.rows()
    assert (rows["2"]["name"], rows["2"]["is_mock"]) == ("Client 2", False)
    assert rows["7"]["is_mock"]
    world.source.before_page = None
    run = world.sync_once()
    assert run["source"] == "live"
    assert set(world.rows()) == {"1", "2"}


def test_mock_records_move_no_cursor(make: MakeWorld) -> None:
    world = make([client(1)], mock_fallback=True)
    world.policy = Policy(mock_fallback=True)
    world.sync_once()
    before = world.query("SELECT * FROM stream_states")
    world.mock = ListSource([client(7, updated_at="2025-09-01T00:00:00Z")], total=0)
    world.source.before_page = always(ConnectionFailed("down"))
    assert world.sync_once()["source"] == "mock"
    assert world.query("SELECT * FROM stream_states") == before


def test_without_permission_nothing_is_invented(make: MakeWorld) -> None:
    world = make([client(1)], worker_max_retries=0)
    world.policy = Policy(mock_fallback=True)
    world.mock = ListSource([client(7)])
    world.source.before_page = always(ConnectionFailed("down"))
    run = world.sync_once()
    assert (run["status"], run["error_type"]) == ("failed", "api_connection_failed")
    assert world.rows() == {}


def test_a_normalizer_that_stumbles_costs_one_record(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(_: Any) -> Any:
        return lambda record: Row(str(record["id"]), (record["name"].title(), None, None, None))

    monkeypatch.setattr("tests.integration.engine.normalize_clients", stumbles)
    world = make([client(1), {"id": 2}, {"name": "no id"}, client(3, name=5), client(4)])
    run = world.sync_once()
    assert (run["status"], world.counts(run)) == ("completed", (5, 2, 0, 0, 0, 3))
