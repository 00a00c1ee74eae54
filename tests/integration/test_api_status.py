"""What the API says of syncs, schedules and the system: the truth, from the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.api import TIME, Api, add_ended, ago, open_api

STATUS = "/api/v1/sync/status"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RESOURCE = {
    "counts",
    "last_run_at",
    "last_success_at",
    "freshness_seconds",
    "success_rate_24h",
    "success_rate_7d",
    "source",
}


def clients(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get(STATUS).get_json()["clients"]
    return found


class TestWellness:
    """GET /api/v1/sync/status"""

    def test_before_anything_happened(self, api: Api) -> None:
        answer = api.get(STATUS)
        body = answer.get_json()
        assert answer.status_code == 200
        assert set(body) == {"clients", "appointments", "scheduled_jobs", "health"}
        assert set(body["clients"]) == set(body["appointments"]) == RESOURCE
        zero = {"pending": 0, "syncing": 0, "synced": 0, "error": 0, "total": 0, "mock": 0}
        assert body["clients"]["counts"] == body["appointments"]["counts"] == zero
        assert {body["clients"][name] for name in RESOURCE - {"counts"}} == {None}
        assert body["health"] == "warning"
        assert [job["name"] for job in body["scheduled_jobs"]] == ["clients", "appointments"]
        jobs = {"name", "cron", "next_run_at", "last_run_at", "enabled", "queue"}
        assert all(set(job) == jobs for job in body["scheduled_jobs"])
        assert [job["cron"] for job in body["scheduled_jobs"]] == ["0 */6 * * *", "0 */2 * * *"]

    def test_counts_are_of_live_rows_of_the_organization(self, api: Api) -> None:
        api.add_organization("acme")
        rows = [("default", "synced", None)] * 3 + [("default", "error", None), ("default", "pending", None)]
        rows += [("default", "synced", ago(HOUR)), ("acme", "synced", None)]
        for number, (organization, status, deleted) in enumerate(rows):
            api.execute(
                "INSERT INTO clients (organization_id, external_id, sync_status, deleted_at) VALUES (%s, %s, %s, %s)",
                organization,
                str(number),
                status,
                deleted,
            )
        expected = {"pending": 1, "syncing": 0, "synced": 3, "error": 1, "total": 5, "mock": 0}
        assert clients(api)["counts"] == expected
        assert api.get(STATUS).get_json()["appointments"]["counts"]["total"] == 0

    def test_mock_rows_are_in_no_count_but_their_own(self, api: Api) -> None:
        api.add_organization("acme")
        rows = [("default", "synced", False), ("default", "pending", False), ("acme", "synced", True)]
        rows += [("default", "synced", True)] * 2 + [("default", "pending", True)]
        for number, (organization, status, mock) in enumerate(rows):
            api.execute(
                "INSERT INTO clients (organization_id, external_id, sync_status, is_mock) VALUES (%s, %s, %s, %s)",
                organization,
                str(number),
                status,
                mock,
            )
        assert clients(api)["counts"] == {"pending": 1, "syncing": 0, "synced": 1, "error": 0, "total": 2, "mock": 3}

    def test_a_success(self, api: Api) -> None:
        add_ended(api, "sync_a", HOUR)
        add_ended(api, "sync_b", HOUR, sync="appointments")
        found = clients(api)
        assert TIME.fullmatch(found["last_run_at"])
        assert TIME.fullmatch(found["last_success_at"])
        assert 3590 <= found["freshness_seconds"] <= 3660
        assert (found["success_rate_24h"], found["success_rate_7d"], found["source"]) == (1.0, 1.0, "live")
        assert api.get(STATUS).get_json()["health"] == "healthy"

    def test_rates(self, api: Api) -> None:
        add_ended(api, "sync_a", HOUR)
        add_ended(api, "sync_b", 2 * HOUR, "failed", error_type="invalid_data_format")
        add_ended(api, "sync_c", 3 * HOUR, "cancelled")
        add_ended(api, "sync_d", 3 * DAY, "failed", error_type="invalid_data_format")
        add_ended(api, "sync_e", 3 * DAY)
        add_ended(api, "sync_f", 3 * DAY)
        add_ended(api, "sync_g", 8 * DAY, "failed", error_type="invalid_data_format")
        assert (clients(api)["success_rate_24h"], clients(api)["success_rate_7d"]) == (0.5, 0.6)

    @pytest.mark.parametrize("marks", [{"dry_run": True}, {"replay_of": "sync_x"}])
    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_what_reads_no_source_for_good_counts_for_nothing(
        self, api: Api, status: str, marks: dict[str, Any]
    ) -> None:
        add_ended(api, "sync_a", HOUR, status, **marks)
        assert {clients(api)[name] for name in RESOURCE - {"counts"}} == {None}
        add_ended(api, "sync_failed", 2 * HOUR, "failed", error_type="api_connection_failed")
        assert clients(api)["success_rate_24h"] == 0.0
        assert api.get("/api/v1/health").get_json()["dependencies"]["external_api"] == "unhealthy"

    def test_mock_data_is_no_success(self, api: Api) -> None:
        add_ended(api, "sync_a", 2 * HOUR)
        live = clients(api)["last_success_at"]
        add_ended(api, "sync_b", HOUR, source="mock")
        found = clients(api)
        assert (found["source"], found["last_success_at"], found["success_rate_24h"]) == ("mock", live, 0.5)
        assert api.get(STATUS).get_json()["health"] == "degraded"

    @pytest.mark.parametrize(("failures", "health"), [(1, "warning"), (2, "degraded"), (5, "unhealthy")])
    def test_failures_in_a_row(self, api: Api, failures: int, health: str) -> None:
        add_ended(api, "sync_before", 3 * HOUR, "failed", error_type="invalid_data_format")
        add_ended(api, "sync_good", 2 * HOUR)
        add_ended(api, "sync_other", 2 * HOUR, sync="appointments")
        for number in range(failures):
            add_ended(api, f"sync_{number}", HOUR, "failed", error_type="invalid_data_format")
        assert api.get(STATUS).get_json()["health"] == health

    def test_schedules(self, api: Api) -> None:
        api.patch("/api/v1/schedules/clients", json={"interval": "30m"})
        api.patch("/api/v1/schedules/appointments", json={"enabled": False})
        clients_job, appointments_job = api.get(STATUS).get_json()["scheduled_jobs"]
        assert (clients_job["cron"], clients_job["enabled"]) == (None, True)
        assert TIME.fullmatch(clients_job["next_run_at"])
        assert (appointments_job["enabled"], appointments_job["next_run_at"]) == (False, None)

    def test_all_switched_off(self, api: Api) -> None:
        for name in ("clients", "appointments"):
            api.patch(f"/api/v1/schedules/{name}", json={"enabled": False})
        assert api.get(STATUS).get_json()["health"] == "stopped"

    def test_not_configured(self, database_url: str, redis_url: str) -> None:
        with open_api(database_url, redis_url, mock_api_url=None) as api:
            assert api.get(STATUS).get_json()["health"] == "stopped"


class TestSyncs:
    """GET /api/v1/syncs"""

    def test_every_sync(self, api: Api) -> None:
        add_ended(api, "sync_a", HOUR)
        api.execute(
            "INSERT INTO stream_states (sync, organization_id, stream, last_complete_at) "
            "VALUES ('clients', 'default', 'clients', %s)",
            ago(DAY),
        )
        body = api.get("/api/v1/syncs").get_json()
        assert body["total"] == len(body["items"]) >= 2
        found = next(item for item in body["items"] if item["name"] == "clients")
        assert (found["queue"], found["configured"], found["health"]) == ("sync", True, "healthy")
        assert found["modes"] == ["default"]
        assert found["source"]
        assert found["destination"]
        assert found["schedule"]["cron"] == "0 */6 * * *"
        assert 3590 <= found["freshness"]["seconds"] <= 3660
        assert found["freshness"]["last_complete_at"] < found["freshness"]["last_success_at"]

    def test_of_the_organization(self, api: Api) -> None:
        api.add_organization("acme")
        add_ended(api, "sync_a", HOUR)
        for asked in ({"headers": {"X-Organization-ID": "acme"}}, {"token": api.make_token("acme")}):
            items = api.get("/api/v1/syncs", **asked).get_json()["items"]
            assert all(item["freshness"]["seconds"] is None for item in items)

    def test_not_configured(self, database_url: str, redis_url: str) -> None:
        with open_api(database_url, redis_url, mock_api_url=None) as api:
            found = api.get("/api/v1/syncs").get_json()["items"][0]
        assert (found["configured"], found["health"], found["schedule"]["next_run_at"]) == (False, None, None)

    def test_pages(self, api: Api) -> None:
        names = [item["name"] for item in api.get("/api/v1/syncs?limit=100").get_json()["items"]]
        second = api.get("/api/v1/syncs?limit=1&offset=1").get_json()
        assert [item["name"] for item in second["items"]] == names[1:2]
        assert second["total"] == len(names)


class TestSchedules:
    """GET and PATCH /api/v1/schedules"""

    FIELDS = frozenset({"name", "cron", "interval", "timezone", "enabled", "next_run_at", "last_run_at", "queue"})

    def test_the_defaults(self, api: Api) -> None:
        body = api.get("/api/v1/schedules").get_json()
        found = {item["name"]: item["cron"] for item in body["items"]}
        assert (found["clients"], found["appointments"]) == ("0 */6 * * *", "0 */2 * * *")
        assert body["total"] == len(body["items"])
        assert all(set(item) == self.FIELDS for item in body["items"])

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"cron": "*/5 * * * *"}, {"cron": "*/5 * * * *", "interval": None}),
            ({"interval": "2h30m"}, {"cron": None, "interval": 9000.0}),
            ({"interval": 90}, {"cron": None, "interval": 90.0}),
            ({"timezone": "Europe/Berlin"}, {"timezone": "Europe/Berlin"}),
            ({"enabled": False}, {"enabled": False, "next_run_at": None}),
        ],
    )
    def test_a_change_stands(self, api: Api, change: dict[str, Any], expected: dict[str, Any]) -> None:
        answer = api.patch("/api/v1/schedules/clients", json=change)
        body = answer.get_json()
        assert answer.status_code == 200
        assert set(body) == self.FIELDS
        assert body | expected == body
        listed = api.get("/api/v1/schedules").get_json()["items"]
        assert body in listed

    def test_on_again(self, api: Api) -> None:
        api.patch("/api/v1/schedules/clients", json={"enabled": False})
        body = api.patch("/api/v1/schedules/clients", json={"enabled": True}).get_json()
        assert TIME.fullmatch(body["next_run_at"])
