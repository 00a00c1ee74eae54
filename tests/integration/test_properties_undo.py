"""A run of the properties undone: over the API, field by field, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.properties import Catalogue, counts, open_catalogue

CONTENT = ("hotel_name", "stars", "address", "rooms", "photos", "facilities", "reviews", "translations", "latitude")


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, 6) as found:
        yield found


def content(catalogue: Catalogue) -> dict[int, tuple[Any, ...]]:
    return {key: tuple(row[name] for name in CONTENT) for key, row in catalogue.rows().items()}


def test_a_run_is_undone_exactly(catalogue: Catalogue) -> None:
    catalogue.sync()
    before = content(catalogue)
    one = catalogue.property(catalogue.ids[0])
    one["rooms"].pop()
    one["photos"][0]["score"] = 0.125
    one["facilities"].append({"facility_id": 990, "name": "Moat"})
    one["address"] = {"city": "Elsewhere"}
    one["latitude"] = 12.3456789012345
    catalogue.property(catalogue.ids[1])["hotel_name"] = ""
    catalogue.reviews(catalogue.ids[2]).clear()
    run = catalogue.sync()
    assert counts(run) == (6, 0, 3, 3, 0, 0)
    assert content(catalogue) != before
    undone = catalogue.undo(run["sync_id"])
    assert (undone["status"], counts(undone)) == ("completed", (3, 0, 3, 0, 0, 0))
    assert content(catalogue) == before
    assert {key: row["data_version"] for key, row in catalogue.rows().items()} == {
        key: 3 if key in catalogue.ids[:3] else 1 for key in catalogue.ids
    }
    (log,) = catalogue.api.query("SELECT * FROM sync_logs ORDER BY id DESC LIMIT 1")
    assert (log["sync_id"], log["sync_type"], log["updated_properties"]) == (undone["sync_id"], "undo", 3)
    assert counts(catalogue.sync()) == (6, 0, 3, 3, 0, 0)  # the source still says so, whatever its ETags say


def test_a_first_run_undone_leaves_nothing_live(catalogue: Catalogue) -> None:
    run = catalogue.sync()
    undone = catalogue.undo(run["sync_id"])
    assert counts(undone) == (6, 0, 0, 0, 6, 0)
    assert all(row["deleted_at"] for row in catalogue.rows().values())
    assert counts(catalogue.sync()) == (6, 6, 0, 0, 0, 0)
    assert {row["data_version"] for row in catalogue.rows().values()} == {1}


def test_an_undo_works_while_the_sync_is_switched_off(catalogue: Catalogue) -> None:
    catalogue.sync()
    catalogue.property(catalogue.ids[0])["stars"] = 1
    run = catalogue.sync()
    assert catalogue.api.patch("/api/v1/schedules/properties", json={"enabled": False}).status_code == 200
    assert catalogue.undo(run["sync_id"])["status"] == "completed"


@pytest.mark.parametrize("kind", ["dry run", "nothing", "running", "twice", "another sync"])
def test_what_cannot_be_undone_says_why(catalogue: Catalogue, kind: str) -> None:
    run = catalogue.sync(dry_run=kind == "dry run")
    sync_id = run["sync_id"]
    code = {"dry run": "DRY_RUN_NOT_UNDOABLE", "nothing": "NOTHING_TO_UNDO", "running": "RUN_IN_FLIGHT"}.get(kind)
    if kind == "nothing":
        sync_id = catalogue.sync()["sync_id"]
    elif kind == "running":
        catalogue.start()
    elif kind == "twice":
        catalogue.undo(sync_id)
        code = "ALREADY_UNDONE"
    elif kind == "another sync":
        sync_id, code = catalogue.api.add_run("sync_default_1", sync="clients"), "CHANGES_NOT_KEPT"
    answer = catalogue.api.post(f"/api/v1/runs/{sync_id}/undo")
    assert answer.status_code == 409
    assert answer.get_json()["details"]["error_code"] == code


def test_asking_twice_for_an_undo_starts_one(catalogue: Catalogue) -> None:
    run = catalogue.sync()
    first = catalogue.api.post(f"/api/v1/runs/{run['sync_id']}/undo").get_json()
    second = catalogue.api.post(f"/api/v1/runs/{run['sync_id']}/undo").get_json()
    assert (first["sync_started"], second["sync_started"]) == (True, False)
    assert first["sync_id"] == second["sync_id"]
    assert first["message"] == f"Undo of 6 changes of {run['sync_id']} started"
    (entry,) = catalogue.api.query("SELECT * FROM audit_log WHERE target = %s", first["sync_id"])
    assert entry["details"]["undo_of"] == run["sync_id"]


def test_what_an_undo_could_not_put_back_is_not_replayed(catalogue: Catalogue) -> None:
    catalogue.sync()
    catalogue.property(catalogue.ids[0])["stars"] = 1
    run = catalogue.sync()
    catalogue.property(catalogue.ids[0])["stars"] = 2
    catalogue.sync()
    undone = catalogue.undo(run["sync_id"])
    assert counts(undone) == (1, 0, 0, 0, 0, 1)
    assert "stars was changed again since" in catalogue.failures(undone["sync_id"])[str(catalogue.ids[0])][1]
    answer = catalogue.api.post(f"/api/v1/runs/{undone['sync_id']}/errors/replay")
    assert (answer.status_code, answer.get_json()["details"]["error_code"]) == (409, "UNDO_NOT_REPLAYABLE")


def test_members_neither_start_nor_undo_it(catalogue: Catalogue) -> None:
    run = catalogue.sync()
    member = catalogue.api.make_token("default")
    for path, body in (("/api/v1/runs", {"sync": "properties"}), (f"/api/v1/runs/{run['sync_id']}/undo", None)):
        answer = catalogue.api.post(path, json=body, token=member)
        assert (answer.status_code, answer.get_json()["details"]["message"]) == (
            403,
            "The sync properties is for admins",
        )
    assert catalogue.api.get(f"/api/v1/runs/{run['sync_id']}", token=member).status_code == 200
