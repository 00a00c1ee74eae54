"""The engine against a real PostgreSQL: what a run tells of the rows it changed, and a dry run of those it would."""

from __future__ import annotations

import pytest

from syncapp.definition import Policy
from tests.integration.engine import MakeWorld, client


def test_dry_run_changes_nothing_and_tells_what_it_would(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    before = world.query("SELECT * FROM clients ORDER BY id")
    world.source.records[0] = client(1, name="Renamed")
    world.source.records[29] = client(99)
    run = world.sync_once(dry_run=True, full_refresh=True)
    assert world.counts(run) == (30, 1, 1, 28, 1, 0)
    assert world.query("SELECT * FROM clients ORDER BY id") == before
    changes = {c["external_id"]: c for c in world.query("SELECT * FROM run_changes")}
    assert {key: change["operation"] for key, change in changes.items()} == {
        "1": "updated",
        "99": "created",
        "30": "deleted",
    }
    assert (changes["1"]["before"], changes["1"]["after"]) == ({"name": "Client 1"}, {"name": "Renamed"})
    assert (changes["99"]["before"], changes["99"]["after"]["name"]) == (None, "Client 99")
    assert (changes["30"]["before"]["name"], changes["30"]["after"]) == ("Client 30", None)


def test_changes_show_times_as_the_api_writes_them_and_leave_texts_alone(make: MakeWorld) -> None:
    world = make([client(1, name="2025-06-30T12:00:00+00:00"), client(2), client(3)])
    world.sync_once()
    world.source.records[:] = [
        client(1, name="2025-07-01T12:00:00+00:00", updated_at="2025-07-01T14:30:00.5+02:00"),
        client(2, updated_at="2025-06-30T12:00:00.000400Z"),
    ]
    run = world.sync_once(dry_run=True, full_refresh=True)
    assert world.counts(run)[1:5] == (0, 2, 0, 1)
    changes = {c["external_id"]: c for c in world.query("SELECT * FROM run_changes")}
    shown = [(row["name"], row["source_updated_at"]) for row in (changes["1"]["before"], changes["1"]["after"])]
    assert shown == [
        ("2025-06-30T12:00:00+00:00", "2025-06-30T12:00:00.000Z"),
        ("2025-07-01T12:00:00+00:00", "2025-07-01T12:30:00.500Z"),
    ]
    assert (changes["2"]["before"], changes["2"]["after"]) == ({}, {})  # what differs is smaller than what is shown
    assert changes["3"]["before"]["source_updated_at"] == "2025-06-30T12:00:00.000Z"


def test_dry_run_counts_a_marked_removal_once(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.sync_once()
    world.source.records[0] = client(1, deleted_at="2025-07-01T00:00:00Z")
    run = world.sync_once(dry_run=True, full_refresh=True)
    assert world.counts(run) == (30, 0, 0, 29, 1, 0)
    assert [c["operation"] for c in world.query("SELECT * FROM run_changes")] == ["deleted"]


def test_changes_are_kept_where_the_policy_says_so(make: MakeWorld) -> None:
    world = make([client(1), client(2)])
    world.policy = Policy(record_changes=True)
    world.sync_once()
    changes = world.query("SELECT * FROM run_changes ORDER BY id")
    assert [(c["external_id"], c["operation"], c["before"], c["after"]) for c in changes] == [
        ("1", "created", None, None),
        ("2", "created", None, None),
    ]
    world.source.records[0] = client(1, name="Renamed")
    run = world.sync_once(full_refresh=True)
    changes = world.query("SELECT * FROM run_changes WHERE sync_id = %s", run["sync_id"])
    assert [(c["operation"], c["before"], c["after"]) for c in changes] == [
        ("updated", {"name": "Client 1"}, {"name": "Renamed"})
    ]


@pytest.mark.parametrize("dry", [True, False])
def test_every_row_that_leaves_is_told_and_by_a_dry_run_as_it_is(make: MakeWorld, dry: bool) -> None:
    world = make([client(n) for n in range(1, 1_301)], page_size=1_300, batch_records=1_300)
    world.policy = Policy(record_changes=not dry)
    world.sync_once()
    del world.source.records[:1_201]
    run = world.sync_once(dry_run=dry, full_refresh=True, allow_mass_delete=True)
    changes = world.query("SELECT * FROM run_changes WHERE sync_id = %s", run["sync_id"])
    assert run["records_deleted"] == len(changes) == 1_201
    assert {(change["external_id"], change["before"] and change["before"]["name"]) for change in changes} == {
        (str(n), f"Client {n}" if dry else None) for n in range(1, 1_202)
    }
