"""Answers nobody expects, marks that are stale, runs that are resumed: what a reader of the sync thought of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest

from syncapp.demo.cupid import cupid_server
from tests.integration.properties import Catalogue, counts, open_catalogue


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, 3) as found:
        yield found


@pytest.fixture
def dozen(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, 12, cupid_languages=()) as found:
        yield found


def path(property_id: int) -> str:
    return f"/v3.0/property/{property_id}"


def answer(catalogue: Catalogue, property_id: int, text: str, **changes: Any) -> None:
    """That property is answered with its content, changed; `text` replaces "HERE"."""
    body = orjson.dumps(dict(catalogue.property(property_id), **changes)).decode()
    catalogue.upstream.fail("body", path=path(property_id), text=body.replace('"HERE"', text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"2\\u0000"', "hotel_id 2\ufffd"),
        ('"\\ud800"', "hotel_id"),
        ("[" * 700 + "]" * 700, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, ""),
    ],
    ids=["nul", "surrogate", "deep", "deeper"],
)
def test_one_hostile_answer_is_one_dead_letter(catalogue: Catalogue, text: str, reason: str) -> None:
    first = catalogue.ids[0]
    answer(catalogue, first, text, **{"extra" if "[" in text else "hotel_id": "HERE"})
    run = catalogue.sync()
    assert (run["status"], counts(run)) == ("completed", (3, 2, 0, 0, 0, 1))
    kind, message = catalogue.failures(run["sync_id"])[str(first)]
    assert kind == "invalid_data_format"
    assert reason in message


def test_numbers_of_any_size_come_back_as_they_were(catalogue: Catalogue) -> None:
    first = catalogue.ids[0]
    answer(catalogue, first, "1e20", weird="HERE", latitude=1e300)
    assert counts(catalogue.sync())[:2] == (3, 3)
    kept = catalogue.rows()[first]["extra"]
    for number in ("3e25", "4"):
        catalogue.upstream.faults.clear()
        answer(catalogue, first, number, weird="HERE", latitude=1e300)
        assert counts(catalogue.sync(dry_run=True)) == (3, 0, 1, 2, 0, 0)
        run = catalogue.sync()
        assert counts(run) == (3, 0, 1, 2, 0, 0)
        (change,) = catalogue.changes(run["sync_id"])
        assert change["after"] == {"extra.weird": float(number)}
        assert counts(catalogue.undo(run["sync_id"])) == (1, 0, 1, 0, 0, 0)
        assert catalogue.rows()[first]["extra"] == kept


def test_a_mark_leaves_with_what_it_stood_for(catalogue: Catalogue) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    french = f"{path(first)}/lang/fr"
    catalogue.upstream.fail("status", path=french, status=404)
    assert counts(catalogue.sync())[2] == 1
    assert catalogue.rows()[first]["translations"].keys() == {"es"}
    catalogue.upstream.faults.clear()
    assert counts(catalogue.sync())[2] == 1
    assert catalogue.rows()[first]["translations"].keys() == {"es", "fr"}


def test_marks_of_another_address_are_of_no_use(catalogue: Catalogue) -> None:
    catalogue.sync()
    with cupid_server(3, seed=1) as other:
        for row in other.records["properties"]:
            row["stars"] = 1
        with catalogue.following(catalogue.ids, cupid_api_url=f"{other.url}/v3.0") as moved:
            moved.sync()
            assert not any("if-none-match" in request.headers for request in other.requests)
            assert {row["stars"] for row in moved.rows().values()} == {1}


@pytest.mark.parametrize("allowed", [3, 6, 30])
def test_an_api_that_allows_less_than_a_batch_is_read_all_the_same(dozen: Catalogue, allowed: int) -> None:
    with dozen.following(dozen.ids, cupid_languages=("fr",), sync_batch_size=10) as catalogue:
        sync_id, windows = catalogue.start(), 0
        catalogue.asked()
        while catalogue.run(sync_id)["status"] in ("starting", "running"):
            windows += 1
            assert windows < 20
            catalogue.upstream.faults.clear()
            catalogue.upstream.fail("status", status=429, headers={"Retry-After": "60"}, after=allowed)
            catalogue.api.execute("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s", sync_id)
            catalogue.work(sync_id)
        run = catalogue.run(sync_id)
        assert (run["status"], counts(run), run["attempt"]) == ("completed", (12, 12, 0, 0, 0, 0), 1)


def test_a_resumed_run_ends_though_all_that_is_left_fails(dozen: Catalogue) -> None:
    for one in dozen.ids[5:]:
        dozen.upstream.fail("status", path=path(one), status=500)
    sync_id = dozen.start()
    dozen.upstream.faults.clear()
    dozen.upstream.fail("status", path=path(dozen.ids[5]), status=429, headers={"Retry-After": "60"}, times=1)
    for one in dozen.ids[5:]:
        dozen.upstream.fail("status", path=path(one), status=500)
    assert dozen.work(sync_id)["status"] == "running"
    dozen.api.execute("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s", sync_id)
    run = dozen.work(sync_id)
    assert (run["status"], counts(run)) == ("completed", (12, 5, 0, 0, 0, 7))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503, "headers": {"Retry-After": "120"}},
        {"kind": "body", "text": "{}", "headers": {"Content-Length": "x"}},
    ],
    ids=["asks to wait", "no http"],
)
def test_one_that_always_fails_in_an_odd_way_is_its_own_trouble(dozen: Catalogue, fault: dict[str, Any]) -> None:
    dozen.upstream.fail(**fault, path=path(dozen.ids[2]))
    run = dozen.sync()
    assert (run["status"], counts(run)) == ("completed", (12, 11, 0, 0, 0, 1))


def test_the_reason_is_that_of_the_part_that_failed(catalogue: Catalogue) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    catalogue.upstream.fail("status", path=f"/v3.0/property/reviews/{first}/*", status=500)
    run = catalogue.sync()
    assert "answered 500" in catalogue.failures(run["sync_id"])[str(first)][1]


def test_an_undo_is_done_again_where_it_was_cut_off(catalogue: Catalogue) -> None:
    catalogue.sync()
    for one in catalogue.ids:
        catalogue.property(one)["stars"] = 1
    run = catalogue.sync()
    changed = counts(run)[2]
    undone = catalogue.undo(run["sync_id"])
    assert counts(undone)[2] == changed
    catalogue.api.execute("UPDATE sync_runs SET status = 'cancelled' WHERE sync_id = %s", undone["sync_id"])
    again = catalogue.undo(run["sync_id"])
    assert counts(again) == (changed, 0, 0, changed, 0, 0)


def test_what_is_kept_of_a_change_may_be_anything(catalogue: Catalogue) -> None:
    catalogue.sync()
    catalogue.property(catalogue.ids[0])["stars"] = 1
    run = catalogue.sync()
    catalogue.api.execute(
        """UPDATE run_changes SET before = '{"rooms[": 1, "x": 2}' WHERE sync_id = %s""", run["sync_id"]
    )
    undone = catalogue.undo(run["sync_id"])
    assert (undone["status"], counts(undone)) == ("completed", (1, 0, 0, 0, 0, 1))


def test_a_review_without_a_number_breaks_no_view(catalogue: Catalogue) -> None:
    first = catalogue.ids[0]
    catalogue.reviews(first)[:] = [{"review_id": 1, "average_score": "n/a"}, {"review_id": 2, "average_score": 9}]
    catalogue.sync()
    query = "SELECT review_id, average_score::float FROM property_reviews WHERE property_id = %s ORDER BY 1"
    assert [(*row.values(),) for row in catalogue.api.query(query, first)] == [("1", None), ("2", 9.0)]


def test_a_replay_that_asks_the_source_minds_its_circuit(catalogue: Catalogue) -> None:
    catalogue.upstream.fail("status", path=path(catalogue.ids[0]), status=500)
    run = catalogue.sync()
    catalogue.api.execute(
        "INSERT INTO circuits (sync, organization_id, failures, open_until) "
        "VALUES ('properties', 'default', 5, now() + interval '1 hour')"
    )
    refused = catalogue.api.post(f"/api/v1/runs/{run['sync_id']}/errors/replay")
    assert (refused.status_code, refused.get_json()["details"]["error_type"]) == (503, "circuit_open")


def test_a_run_is_undone_without_the_key(catalogue: Catalogue) -> None:
    catalogue.sync()
    catalogue.property(catalogue.ids[0])["stars"] = 1
    run = catalogue.sync()
    with catalogue.following(catalogue.ids, cupid_api_key=None) as without:
        assert without.undo(run["sync_id"])["status"] == "completed"


def test_an_interval_is_a_time(catalogue: Catalogue) -> None:
    for wrong in ("Infinity", "NaN", "1e300", "0", "-5"):
        with pytest.raises(psycopg.errors.CheckViolation):
            catalogue.api.execute(
                "INSERT INTO schedules (name, interval_seconds) VALUES ('properties', %s) "
                "ON CONFLICT (name) DO UPDATE SET cron = NULL, interval_seconds = excluded.interval_seconds",
                wrong,
            )


def test_it_is_started_for_the_default_organization_alone(catalogue: Catalogue) -> None:
    catalogue.api.add_organization("other")
    for asked in ({}, {"dry_run": True}):
        answer = catalogue.api.post("/api/v1/runs", json={"sync": "properties", "organization_id": "other"} | asked)
        assert (answer.status_code, answer.get_json()["details"]["error_code"]) == (422, "NOT_THE_DEFAULT_ORGANIZATION")
    assert catalogue.api.query("SELECT 1 FROM sync_runs") == []


def test_a_row_that_stands_in_the_way_is_told_without_sql(catalogue: Catalogue) -> None:
    catalogue.api.add_organization("other")
    first = catalogue.ids[0]
    catalogue.api.execute("INSERT INTO properties (organization_id, external_id) VALUES ('other', %s)", str(first))
    run = catalogue.sync()
    assert counts(run) == (3, 2, 0, 0, 0, 1)
    message = "another row of the table has the same key"
    assert catalogue.failures(run["sync_id"]) == {str(first): ("invalid_data_format", message)}


@pytest.mark.parametrize("interval", ["1m", "4m59s", "8d"])
def test_its_schedule_has_its_own_bounds(catalogue: Catalogue, interval: str) -> None:
    answer = catalogue.api.patch("/api/v1/schedules/properties", json={"interval": interval})
    assert answer.status_code == 422
    assert answer.get_json()["details"]["fields"] == {"interval": ["Must be between 5m and 7d."]}
