"""What is told of the properties over time: logs, each property's changes, health, how long a run will take."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.administration import CONFIGURED, SYNC, align, data, tick
from tests.integration.api import TIME, Api, add_ended, ago, check_error, open_api
from tests.integration.properties import Catalogue, open_catalogue
from tests.openapi import Document

PROPERTIES = "/api/v1/admin/properties"
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
OURS = {"sync": "properties"}


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[Api]:
    with open_api(database_url, redis_url, **CONFIGURED) as made:
        yield made


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, 4) as made:
        yield made


def changes(api: Api, property_id: int, query: str = "") -> dict[str, Any]:
    answer = api.get(f"{PROPERTIES}/{property_id}/changes{query}")
    assert answer.status_code == 200, answer.get_json()
    assert answer.get_json()["success"] is True
    found: dict[str, Any] = answer.get_json()["data"]
    assert set(found) == {"items", "total"}
    names = {"sync_id", "changed_at", "operation", "field", "old", "new"}
    assert all(set(one) == names and TIME.fullmatch(one["changed_at"]) for one in found["items"])
    return found


def told(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["operation"], one["field"], one["old"], one["new"]) for one in found["items"]]


class TestLogs:
    """GET …/logs, and the view that it shows."""

    def test_before_anything_happened(self, api: Api) -> None:
        assert data(api, "GET", "/logs") == {"items": [], "total": 0}

    def test_the_rows_of_the_view(self, api: Api) -> None:
        counts = {"records_processed": 70, "records_created": 5, "records_updated": 10, "records_failed": 2}
        add_ended(api, "sync_1", 5 * HOUR, **OURS, **counts, trigger="schedule")
        add_ended(
            api,
            "sync_2",
            4 * HOUR,
            "failed",
            **OURS,
            error_message="Cupid is away",
            records_processed=40,
            records_total=90,
        )
        add_ended(api, "sync_3", 3 * HOUR, **OURS, trigger="retry", replay_of="sync_1")
        add_ended(api, "sync_4", 2 * HOUR, **OURS, undo_of="sync_1")
        api.add_run("sync_5", **OURS, status="starting")
        add_ended(api, "sync_dry", HOUR, **OURS, dry_run=True)
        add_ended(api, "sync_clients", HOUR)
        api.add_organization("acme")
        add_ended(api, "sync_acme", HOUR, **OURS, organization_id="acme")
        found = data(api, "GET", "/logs")
        items = found["items"]
        assert [one["sync_id"] for one in items] == ["sync_5", "sync_4", "sync_3", "sync_2", "sync_1"]
        assert [one["sync_type"] for one in items] == ["manual", "undo", "replay", "manual", "schedule"]
        assert found["total"] == 5
        first, failed, started = items[4], items[3], items[0]
        assert (first["total_properties"], first["updated_properties"], first["failed_properties"]) == (70, 15, 2)
        assert (failed["status"], failed["error_message"], failed["total_properties"]) == (
            "failed",
            "Cupid is away",
            40,
        )
        assert (started["completed_at"], started["started_at"]) == (None, started["created_at"])
        columns = api.query("SELECT * FROM sync_logs WHERE sync_id = 'sync_1'")[0]
        assert set(first) == set(columns) - {"organization_id"}
        assert {name: first[name] for name in ("id", "sync_id", "status")} == {
            name: columns[name] for name in ("id", "sync_id", "status")
        }

    def test_pages(self, api: Api) -> None:
        for number in range(12):
            add_ended(api, f"sync_{number}", (20 - number) * MINUTE, **OURS)
        assert len(data(api, "GET", "/logs")["items"]) == 10
        found = data(api, "GET", "/logs?limit=3&offset=10")
        assert ([one["sync_id"] for one in found["items"]], found["total"]) == (["sync_1", "sync_0"], 12)

    @pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1", f"offset={10**30}", "limit="])
    def test_what_is_no_page(self, api: Api, query: str) -> None:
        check_error(api.get(f"{SYNC}/logs?{query}"), 422, "validation_error")
        check_error(api.get(f"{PROPERTIES}/1/changes?{query}"), 422, "validation_error")


class TestChanges:
    """GET /api/v1/admin/properties/{property_id}/changes"""

    def test_a_propertys_history(self, catalogue: Catalogue) -> None:
        api, one = catalogue.api, catalogue.ids[0]
        first = catalogue.sync()["sync_id"]
        assert told(changes(api, one)) == [("created", None, None, None)]
        hotel = catalogue.property(one)
        city, stars = hotel["address"]["city"], hotel["stars"]
        hotel["address"]["city"], hotel["stars"] = "Atlantis", stars + 1
        second = catalogue.sync()["sync_id"]
        found = changes(api, one)
        assert told(found) == [
            ("updated", "address.city", city, "Atlantis"),
            ("updated", "stars", stars, stars + 1),
            ("created", None, None, None),
        ]
        assert [item["sync_id"] for item in found["items"]] == [second, second, first]
        assert found["total"] == 3
        assert told(changes(api, catalogue.ids[1])) == [("created", None, None, None)]
        undone = catalogue.undo(second)["sync_id"]
        newest = changes(api, one, "?limit=1")
        assert told(newest) == [("updated", "address.city", "Atlantis", city)]
        assert (newest["items"][0]["sync_id"], newest["total"]) == (undone, 5)
        assert told(changes(api, one, "?limit=2&offset=3")) == told(found)[1:]

    def test_only_what_was_done_and_only_to_this_one(self, api: Api) -> None:
        api.add_organization("acme")
        api.add_run("sync_x", **OURS, started_at=ago(HOUR))
        api.add_run("sync_dry", **OURS, dry_run=True)
        api.add_run("sync_acme", **OURS, organization_id="acme")
        api.add_run("sync_clients")
        insert = """INSERT INTO run_changes (sync_id, stream, external_id, operation, before, after)
            VALUES (%s, %s, %s, %s, %s, %s)"""
        for sync_id in ("sync_dry", "sync_acme", "sync_clients"):
            api.execute(insert, sync_id, "properties", "12", "updated", '{"a": 1}', '{"a": 2}')
        check_error(api.get(f"{PROPERTIES}/12/changes"), 404, "not_found")
        api.execute(insert, "sync_x", "clients", "12", "updated", '{"a": 1}', '{"a": 2}')
        api.execute(insert, "sync_x", "properties", "120", "updated", '{"a": 1}', '{"a": 2}')
        before, after = f'{{"b": [1, {{"c": null}}], "a": null, "n": {10**30}}}', '{"b": "\\u0001", "a": {"x": 1}}'
        api.execute(insert, "sync_x", "properties", "12", "updated", before, after)
        api.execute(insert, "sync_x", "properties", "12", "deleted", None, None)
        assert told(changes(api, 12)) == [
            ("deleted", None, None, None),
            ("updated", "a", None, {"x": 1}),
            ("updated", "b", [1, {"c": None}], "\x01"),
            ("updated", "n", 1e30, None),  # as this client reads it
        ]

    def test_one_that_is_followed_and_never_changed(self, api: Api) -> None:
        api.execute("INSERT INTO properties (organization_id, external_id) VALUES ('default', '12')")
        assert changes(api, 12) == {"items": [], "total": 0}

    @pytest.mark.parametrize("property_id", ["13", "0", str(2**63), str(10**30), "9" * 3_000, "-1", "x", "1.5", "1%00"])
    def test_one_that_is_not_there(self, api: Api, property_id: str) -> None:
        check_error(api.get(f"{PROPERTIES}/{property_id}/changes"), 404, "not_found")


class TestHealth:
    """GET …/health"""

    def health(self, api: Api) -> dict[str, Any]:
        found: dict[str, Any] = data(api, "GET", "/health")
        names = {"status", "is_running", "is_healthy", "is_overdue", "last_sync_age", "next_sync_in", "sync_interval"}
        assert set(found) == {*names, "summary", "checked_at"}
        assert TIME.fullmatch(found["checked_at"])
        return found

    def test_before_anything_happened(self, api: Api) -> None:
        align(api)
        tick(api)
        found = self.health(api)
        assert (found["status"], found["is_running"], found["is_healthy"]) == ("warning", True, False)
        assert (found["is_overdue"], found["last_sync_age"], found["next_sync_in"]) == (False, None, "12h")
        assert found["summary"] == "Sync service is running; no run has completed yet"

    def test_all_is_well(self, api: Api) -> None:
        align(api)
        tick(api)
        add_ended(api, "sync_1", 2 * HOUR + 30 * MINUTE, **OURS)
        api.execute("UPDATE schedules SET next_run_at = now() + interval '9 hours 30 minutes'")
        assert self.health(api) | {"checked_at": ""} == {
            "status": "healthy",
            "is_running": True,
            "is_healthy": True,
            "is_overdue": False,
            "last_sync_age": "2h30m",
            "next_sync_in": "9h30m",
            "sync_interval": "12h",
            "summary": "Sync service is running",
            "checked_at": "",
        }

    def test_switched_off(self, api: Api) -> None:
        add_ended(api, "sync_1", 3 * DAY, **OURS)
        data(api, "POST", "/stop")
        found = self.health(api)
        assert (found["status"], found["is_running"], found["is_healthy"]) == ("stopped", False, False)
        assert (found["is_overdue"], found["last_sync_age"], found["next_sync_in"]) == (False, "3d", None)
        assert "switched off" in found["summary"]

    def test_no_scheduler(self, api: Api) -> None:
        align(api)
        add_ended(api, "sync_1", HOUR, **OURS)
        found = self.health(api)
        assert (found["status"], found["is_running"], found["is_healthy"]) == ("healthy", False, False)
        assert "No scheduler has ticked lately" in found["summary"]

    def test_not_configured(self, database_url: str, redis_url: str) -> None:
        with open_api(database_url, redis_url) as api:
            align(api)
            tick(api)
            found = self.health(api)
        assert (found["status"], found["is_running"], found["is_overdue"]) == ("stopped", False, False)
        assert found["summary"] == "The sync is not configured: set CUPID_API_KEY"

    def test_a_run_failed(self, api: Api) -> None:
        align(api)
        tick(api)
        add_ended(api, "sync_1", 3 * HOUR, **OURS)
        add_ended(api, "sync_2", HOUR, "failed", **OURS, error_message="Cupid is away")
        found = self.health(api)
        assert (found["status"], found["is_healthy"], found["is_overdue"]) == ("warning", False, False)
        assert (found["summary"], found["last_sync_age"]) == ("The last run failed: Cupid is away", "3h")
        add_ended(api, "sync_3", MINUTE, "failed", **OURS, error_message="Still away")
        assert self.health(api)["summary"] == "The last 2 runs failed: Still away"

    def test_overdue(self, api: Api) -> None:
        align(api)
        tick(api)
        api.execute("UPDATE schedules SET updated_at = now() - interval '9 days', last_run_at = now() - interval '1 h'")
        add_ended(api, "sync_1", 20 * HOUR, **OURS)
        found = self.health(api)
        assert (found["status"], found["is_healthy"], found["is_overdue"]) == ("warning", False, True)
        assert found["summary"] == "The sync is overdue: the last success was 20h ago, and one is due every 12h"
        data(api, "POST", "/stop")
        assert self.health(api)["is_overdue"] is False
        data(api, "POST", "/start")
        assert self.health(api)["is_overdue"] is False  # the next run is to come
        api.execute("UPDATE schedules SET next_run_at = now() - interval '10 minutes'")
        assert self.health(api)["is_overdue"] is True  # and nobody takes it


class TestEstimates:
    """`estimated_duration` of a trigger's answer."""

    def estimate(self, api: Api) -> str:
        found: str = data(api, "POST")["estimated_duration"]
        api.execute("DELETE FROM sync_runs WHERE status = 'starting'")
        return found

    def test_without_past_runs_from_what_is_to_be_asked(self, database_url: str, redis_url: str) -> None:
        ids = tuple(range(1, 301))
        with open_api(database_url, redis_url, **CONFIGURED, cupid_property_ids=ids, cupid_languages=()) as api:
            assert self.estimate(api) == "1-2 minutes"  # 600 requests, 10 a second
            api.call("PUT", f"{SYNC}/settings", json=[{"setting_key": "rate_limit", "setting_value": 1}])
            assert self.estimate(api) == "10-20 minutes"

    def test_a_list_that_cannot_be_read(self, database_url: str, redis_url: str, tmp_path: Any) -> None:
        listed = tmp_path / "ids.txt"
        listed.write_text("12\nnone\n")
        with open_api(database_url, redis_url, **CONFIGURED, cupid_property_ids_file=str(listed)) as api:
            assert self.estimate(api) == "unknown"

    def test_from_the_latest_runs_that_read_everything(self, api: Api) -> None:
        def add(name: str, minutes: float, took: float, **values: Any) -> None:
            at = ago(timedelta(minutes=minutes))
            row = OURS | {"created_at": at, "started_at": at, "completed_at": at + timedelta(seconds=took)} | values
            api.add_run(name, **row)

        add("sync_old", 10_000, 40_000)
        for number in range(10):
            add(f"sync_{number}", 2_000 - 100 * number, (3, 300, 310, 320, 400, 410, 420, 590, 600, 5_000)[number])
        others: list[dict[str, Any]] = [{"status": "failed"}, {"status": "cancelled"}, {"retry_of": "sync_1"}]
        others += [{"replay_of": "sync_1"}, {"undo_of": "sync_1"}, {"dry_run": True}, {"sync": "clients"}]
        for number, other in enumerate(others):
            add(f"sync_other_{number}", 20, 900, **other)
        assert self.estimate(api) == "5-10 minutes"


@pytest.mark.parametrize(
    "path", ["/sync/status", "/sync/health", "/sync/logs", "/sync/settings", "/properties/12/changes"]
)
def test_answers_are_what_the_document_says(api: Api, path: str) -> None:
    document = Document(api.get("/docs/swagger.json").get_json())
    add_ended(api, "sync_1", HOUR, **OURS)
    columns = "sync_id, stream, external_id, operation"
    api.execute(f"INSERT INTO run_changes ({columns}) VALUES ('sync_1', 'properties', '12', 'created')")
    answer = api.get(f"/api/v1/admin{path}").get_json()
    rule = f"/api/v1/admin{path}".replace("/12/", "/{property_id}/")
    [found] = [one for one in document.operations if (one.method, one.path) == ("get", rule)]
    assert document.problems(found.responses[200]["content"]["application/json"]["schema"], answer) == []
