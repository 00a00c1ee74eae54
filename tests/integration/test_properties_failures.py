"""What goes wrong at Cupid: one property's trouble is its own, and everybody's ends the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.integration.properties import Catalogue, counts, open_catalogue


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url) as found:
        yield found


def path(property_id: int) -> str:
    return f"/v3.0/property/{property_id}"


def test_three_kinds_of_trouble_are_listed_and_the_others_synced(catalogue: Catalogue) -> None:
    failing, unknown, broken = catalogue.ids[1], catalogue.ids[4], catalogue.ids[8]
    catalogue.upstream.fail("status", path=path(failing), status=500)
    catalogue.upstream.fail("status", path=path(unknown), status=404)
    catalogue.upstream.fail("body", path=path(broken), text='{"hotel_id": 12, "rooms": [')
    run = catalogue.sync()
    assert (run["status"], counts(run)) == ("completed", (12, 9, 0, 0, 0, 3))
    reasons = catalogue.failures(run["sync_id"])
    assert reasons == {
        str(failing): ("api_connection_failed", reasons[str(failing)][1]),
        str(unknown): ("not_found", reasons[str(unknown)][1]),
        str(broken): ("invalid_data_format", reasons[str(broken)][1]),
    }
    assert f"{path(failing)} answered 500" in reasons[str(failing)][1]
    assert f"{path(unknown)} answered 404" in reasons[str(unknown)][1]
    assert f"{path(broken)}" in reasons[str(broken)][1]
    (log,) = catalogue.api.query("SELECT * FROM sync_logs")
    assert (log["status"], log["total_properties"], log["updated_properties"], log["failed_properties"]) == (
        "completed",
        12,
        9,
        3,
    )


def test_a_replay_asks_for_them_again(catalogue: Catalogue) -> None:
    first, second = catalogue.ids[1], catalogue.ids[4]
    catalogue.upstream.fail("status", path=path(first), status=500)
    catalogue.upstream.fail("body", path=path(second), text="<html>")
    run = catalogue.sync()
    catalogue.upstream.faults.clear()
    catalogue.upstream.fail("status", path=path(second), status=500)
    catalogue.asked()
    answer = catalogue.api.post(f"/api/v1/runs/{run['sync_id']}/errors/replay")
    assert answer.status_code == 202, answer.get_json()
    again = catalogue.work(answer.get_json()["sync_id"])
    assert (again["status"], counts(again)) == ("completed", (2, 1, 0, 0, 0, 1))
    assert {request.path for request in catalogue.asked()} == {
        path(first),
        path(second),
        f"/v3.0/property/reviews/{first}/1000000",
        f"{path(first)}/lang/fr",
        f"{path(first)}/lang/es",
    }
    assert catalogue.rows()[first]["sync_status"] == "synced"
    assert set(catalogue.failures(again["sync_id"])) == {str(second)}


def test_a_property_that_fails_later_keeps_its_row_and_comes_back(catalogue: Catalogue) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    before = catalogue.rows()[first]
    catalogue.upstream.fail("status", path=path(first), status=404)
    run = catalogue.sync()
    assert counts(run) == (12, 0, 0, 11, 0, 1)
    row = catalogue.rows()[first]
    assert (row["sync_status"], row["deleted_at"], row["data_version"]) == ("error", None, 1)
    assert "404" in row["sync_errors"]
    assert {name: row[name] for name in ("hotel_name", "rooms", "reviews")} == {
        name: before[name] for name in ("hotel_name", "rooms", "reviews")
    }
    catalogue.upstream.faults.clear()
    assert counts(catalogue.sync()) == (12, 0, 0, 12, 0, 0)
    row = catalogue.rows()[first]
    assert (row["sync_status"], row["sync_errors"], row["data_version"]) == ("synced", None, 1)


@pytest.mark.parametrize("part", ["reviews", "fr"])
def test_a_property_is_taken_whole_or_not_at_all(catalogue: Catalogue, part: str) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    catalogue.property(first)["stars"] = 1
    where = f"/v3.0/property/reviews/{first}/*" if part == "reviews" else f"{path(first)}/lang/fr"
    catalogue.upstream.fail("status", path=where, status=503)
    run = catalogue.sync()
    assert counts(run) == (12, 0, 0, 11, 0, 1)
    assert catalogue.rows()[first]["stars"] != 1
    assert catalogue.changes(run["sync_id"]) == []


def test_a_translation_that_is_not_there_is_none(catalogue: Catalogue) -> None:
    first = catalogue.ids[0]
    catalogue.upstream.fail("status", path=f"{path(first)}/lang/fr", status=404)
    assert counts(catalogue.sync()) == (12, 12, 0, 0, 0, 0)
    assert catalogue.rows()[first]["translations"].keys() == {"es"}
    catalogue.upstream.fail("status", path=f"/v3.0/property/reviews/{first}/*", status=404)
    run = catalogue.sync()  # it counts some
    assert set(catalogue.failures(run["sync_id"])) == {str(first)}


@pytest.mark.parametrize(
    ("fault", "error_type", "outcome"),
    [
        ({"kind": "status", "status": 500}, "api_connection_failed", "running"),
        ({"kind": "reset"}, "api_connection_failed", "running"),
        ({"kind": "html"}, "invalid_data_format", "failed"),
        ({"kind": "status", "status": 403}, "api_connection_failed", "failed"),
        ({"kind": "status", "status": 401}, "api_connection_failed", "failed"),
        ({"kind": "status", "status": 404}, "api_connection_failed", "failed"),
        ({"kind": "status", "status": 503, "headers": {"Retry-After": "120"}}, "api_connection_failed", "running"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_trouble_of_all_properties_is_the_runs(
    catalogue: Catalogue, fault: dict[str, Any], error_type: str, outcome: str
) -> None:
    catalogue.sync()
    before = catalogue.rows()
    catalogue.upstream.fail(**fault)
    run = catalogue.sync()
    assert (run["status"], run["error_type"]) == (outcome, error_type)
    if fault.get("status") == 404:  # the last batch says that none is known; those before it said so of theirs
        assert {row["sync_status"] for row in catalogue.rows().values()} == {"synced", "error"}
    else:
        assert catalogue.rows() == before
    if outcome == "running":
        assert run["resume_at"] is not None


@pytest.mark.parametrize("first", [0, 3, 6])
def test_many_in_a_row_that_fail_are_in_nobodys_way(catalogue: Catalogue, first: int) -> None:
    failing = catalogue.ids[first : first + 6]
    for one in failing:
        catalogue.upstream.fail("status", path=path(one), status=500)
    run = catalogue.sync()
    assert (run["status"], counts(run)) == ("completed", (12, 6, 0, 0, 0, 6))
    assert set(catalogue.failures(run["sync_id"])) == set(map(str, failing))


def test_an_outage_in_the_middle_is_waited_for(catalogue: Catalogue) -> None:
    sync_id = catalogue.start()
    catalogue.upstream.fail("status", after=4 * 5, status=500)  # the first batch is read
    run = catalogue.work(sync_id)
    assert (run["status"], run["attempt"], counts(run)) == ("running", 1, (5, 5, 0, 0, 0, 0))
    assert catalogue.failures(sync_id) == {}
    catalogue.upstream.faults.clear()
    catalogue.api.execute("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s", sync_id)
    run = catalogue.work(sync_id)
    assert (run["status"], counts(run)) == ("completed", (12, 12, 0, 0, 0, 0))


def test_too_many_requests_park_the_run_and_it_goes_on_where_it_was(catalogue: Catalogue) -> None:
    catalogue.upstream.fail("status", path=path(catalogue.ids[7]), status=429, headers={"Retry-After": "60"}, times=1)
    sync_id = catalogue.start()
    run = catalogue.work(sync_id)
    assert (run["status"], run["error_type"], run["attempt"]) == ("running", "rate_limit_exceeded", 0)
    assert counts(run)[0] == 5  # the first batch is kept
    catalogue.api.execute("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s", sync_id)
    catalogue.asked()
    run = catalogue.work(sync_id)
    assert (run["status"], counts(run)) == ("completed", (12, 12, 0, 0, 0, 0))
    assert not {path(one) for one in catalogue.ids[:5]} & {request.path for request in catalogue.asked()}


def test_one_that_fails_once_is_asked_again(database_url: str, redis_url: str) -> None:
    with open_catalogue(database_url, redis_url, 3, sync_retry_attempts=2) as catalogue:
        catalogue.upstream.fail("status", path=path(catalogue.ids[1]), status=502, times=2)
        assert counts(catalogue.sync()) == (3, 3, 0, 0, 0, 0)
        assert sum(request.path == path(catalogue.ids[1]) for request in catalogue.asked()) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hotel_id": 7}, "hotel_id 7"),
        ({"stars": "five"}, "stars is not a number"),
        ({"child_allowed": "yes"}, "child_allowed is neither true nor false"),
        ({"hotel_name": {"en": "x"}}, "hotel_name is not a text"),
        ({"description": "x\u0000y"}, "NUL"),
        ({"rooms": [{"id": 1, "room_name": "x\u0000y"}]}, ""),
        ({"cupid_id": "HUGE"}, "cupid_id is not a whole number"),
        ({"description": "x" * 1_000_001}, "longer than 1,000,000"),
    ],
    ids=["other", "number", "flag", "object", "nul", "nul-in-json", "huge", "long"],
)
def test_one_that_cannot_be_used_is_a_dead_letter(
    database_url: str, redis_url: str, change: dict[str, Any], reason: str
) -> None:
    with open_catalogue(database_url, redis_url, 3) as catalogue:
        first = catalogue.ids[0]
        answer = dict(catalogue.property(first)) | change
        text = orjson.dumps(answer).decode().replace('"HUGE"', str(10**30))
        catalogue.upstream.fail("body", path=path(first), text=text)
        run = catalogue.sync()
        assert (run["status"], counts(run)) == ("completed", (3, 2, 0, 0, 0, 1))
        kind, message = catalogue.failures(run["sync_id"])[str(first)]
        assert kind == "invalid_data_format"
        assert reason in message


def test_hostile_reviews_and_unknown_fields_are_taken_as_they_are(database_url: str, redis_url: str) -> None:
    with open_catalogue(database_url, redis_url, 2) as catalogue:
        first, second = catalogue.ids
        catalogue.property(first)["energy_label"] = {"class": "A", "by": ["x", "y"]}
        catalogue.reviews(first)[:] = [
            {"name": "A", "date": "2025-01-01 00:00:00", "headline": "twice"},
            {"name": "A", "date": "2025-01-01 00:00:00", "headline": "twice"},
            {"review_id": "5", "name": "</script>"},
            {"review_id": 5, "name": "'; DROP TABLE properties; --"},
        ]
        catalogue.upstream.fail("body", path=f"/v3.0/property/reviews/{second}/*", text='{"no": "list"}')
        run = catalogue.sync()
        assert counts(run) == (2, 1, 0, 0, 0, 1)
        row = catalogue.rows()[first]
        assert row["extra"] == {"energy_label": {"class": "A", "by": ["x", "y"]}}
        assert len(row["reviews"]) == 4
        assert "reviews" in catalogue.failures(run["sync_id"])[str(second)][1]
        assert counts(catalogue.sync()) == (2, 0, 0, 1, 0, 1)


def test_a_list_that_cannot_be_read_is_said_so(catalogue: Catalogue, tmp_path: Any) -> None:
    missing = tmp_path / "ids.txt"
    with catalogue.following([], cupid_property_ids=None, cupid_property_ids_file=str(missing)) as lost:
        answer = lost.api.post("/api/v1/runs", json={"sync": "properties"})
        assert answer.status_code == 409
        assert answer.get_json()["details"]["error_type"] == "credentials_not_found"
        assert str(missing) in answer.get_json()["details"]["message"]
        missing.write_text(f"# ours\n{catalogue.ids[0]}\n\n{catalogue.ids[1]}  # the second\n")
        assert counts(lost.sync())[:2] == (2, 2)
        missing.write_text("twelve\n")
        run = lost.sync()
        assert (run["status"], run["error_type"]) == ("failed", "credentials_not_found")
        assert "'twelve'" in run["error_message"]
