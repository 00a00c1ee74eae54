"""What the uniform surface shows of runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.api import Api, check_error

FIELDS = {
    "sync_id",
    "sync",
    "organization_id",
    "mode",
    "trigger",
    "status",
    "source",
    "dry_run",
    "started_at",
    "completed_at",
    "resume_at",
    "records_processed",
    "records_created",
    "records_updated",
    "records_unchanged",
    "records_deleted",
    "records_failed",
    "attempt",
    "steps",
    "error",
    "request_id",
}
NOON = datetime(2025, 6, 30, 12, tzinfo=UTC)


def add_runs(api: Api, count: int, **values: Any) -> list[str]:
    """Runs a second apart, the newest first, as the list shows them."""
    names = [
        api.add_run(f"sync_{number:03}", created_at=NOON + timedelta(seconds=number), **values)
        for number in range(count)
    ]
    return names[::-1]


class TestOne:
    """GET /api/v1/runs/{sync_id}"""

    def test_exactly_the_contracts_fields(self, api: Api) -> None:
        api.add_run("sync_x", started_at=NOON, completed_at=NOON + timedelta(milliseconds=1500), records_created=3)
        answer = api.get("/api/v1/runs/sync_x")
        run = answer.get_json()
        assert answer.status_code == 200
        assert set(run) == FIELDS
        assert (run["started_at"], run["completed_at"]) == ("2025-06-30T12:00:00.000Z", "2025-06-30T12:00:01.500Z")
        assert (run["records_created"], run["error"], run["resume_at"]) == (3, None, None)

    def test_a_failed_run_says_what_the_http_error_would(self, api: Api) -> None:
        error = {"error_type": "api_connection_failed", "error_code": "TIMEOUT", "error_message": "It did not answer"}
        api.add_run("sync_x", status="failed", **error)
        assert api.get("/api/v1/runs/sync_x").get_json()["error"] == {
            "error_type": "api_connection_failed",
            "error_code": "TIMEOUT",
            "message": "It did not answer",
        }

    @pytest.mark.parametrize("name", ["sync_nobodys", "x" * 128])
    def test_unknown(self, api: Api, name: str) -> None:
        check_error(api.get(f"/api/v1/runs/{name}"), 404, "not_found")


class TestList:
    """GET /api/v1/runs"""

    def test_newest_first_ten_at_a_time(self, api: Api) -> None:
        names = add_runs(api, 25)
        body = api.get("/api/v1/runs").get_json()
        assert set(body) == {"items", "total", "next_cursor"}
        assert [run["sync_id"] for run in body["items"]] == names[:10]
        assert set(body["items"][0]) == FIELDS
        assert body["total"] == 25

    @pytest.mark.parametrize("limit", [1, 7, 100])
    def test_every_run_once_over_all_pages(self, api: Api, limit: int) -> None:
        names = add_runs(api, 25)
        assert read_all(api, limit) == names

    def test_runs_of_the_same_moment(self, api: Api) -> None:
        names = [api.add_run(f"sync_{number}", created_at=NOON) for number in range(9)]
        assert read_all(api, 2) == sorted(names, reverse=True)

    def test_runs_that_start_meanwhile_shift_nothing(self, api: Api) -> None:
        names = add_runs(api, 10)
        page = api.get("/api/v1/runs?limit=4").get_json()
        api.add_run("sync_new", created_at=NOON + timedelta(days=1))
        rest = api.get(f"/api/v1/runs?limit=100&cursor={page['next_cursor']}").get_json()
        assert [run["sync_id"] for run in page["items"] + rest["items"]] == names
        assert rest["total"] == 11

    def test_a_last_page_that_is_full(self, api: Api) -> None:
        add_runs(api, 10)
        assert api.get("/api/v1/runs").get_json()["next_cursor"] is None

    def test_nothing(self, api: Api) -> None:
        assert api.get("/api/v1/runs").get_json() == {"items": [], "total": 0, "next_cursor": None}

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ("sync=appointments", {"sync_a"}),
            ("sync=nothing", set()),
            ("status=failed", {"sync_f"}),
            ("trigger=schedule", {"sync_s"}),
            ("since=2025-07-01T00:00:00Z", {"sync_s"}),
            ("since=2025-07-01T01:30:00%2B02:00", {"sync_s"}),
            ("organization_id=acme", {"sync_o"}),
            ("sync=clients&status=failed&organization_id=default", {"sync_f"}),
        ],
    )
    def test_filters(self, api: Api, wanted: str, expected: set[str]) -> None:
        api.add_organization("acme")
        api.add_run("sync_a", sync="appointments", created_at=NOON)
        api.add_run("sync_f", status="failed", created_at=NOON)
        api.add_run("sync_s", trigger="schedule", created_at=NOON + timedelta(days=1))
        api.add_run("sync_o", organization_id="acme", created_at=NOON)
        body = api.get(f"/api/v1/runs?{wanted}").get_json()
        assert {run["sync_id"] for run in body["items"]} == expected
        assert body["total"] == len(expected)


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/syncs"])
def test_an_organization_that_does_not_exist(api: Api, path: str) -> None:
    details = check_error(api.get(path, headers={"X-Organization-ID": "nobody"}), 404, "not_found")
    assert details["message"] == "There is no organization nobody"


def test_an_organization_that_does_not_exist_as_a_filter(api: Api) -> None:
    check_error(api.get("/api/v1/runs?organization_id=nobody"), 404, "not_found")
    api.add_organization("asleep", active=False)
    assert api.get("/api/v1/runs?organization_id=asleep").get_json()["total"] == 0


def read_all(api: Api, limit: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/api/v1/runs?limit={limit}{cursor}").get_json()
        assert len(page["items"]) <= limit
        found += [run["sync_id"] for run in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


class TestChanges:
    """GET …/changes: what a dry run would change."""

    def add(self, api: Api, sync_id: str, count: int) -> None:
        for number in range(count):
            api.execute(
                "INSERT INTO run_changes (sync_id, stream, external_id, operation, before, after) "
                "VALUES (%s, 'clients', %s, 'updated', '{\"name\": \"A\"}', '{\"name\": \"B\"}')",
                sync_id,
                str(number),
            )

    def test_pages(self, api: Api) -> None:
        self.add(api, api.add_run("sync_x", dry_run=True), 12)
        self.add(api, api.add_run("sync_y"), 3)
        first = api.get("/api/v1/runs/sync_x/changes").get_json()
        assert first["total"] == 12
        assert first["items"][0] == {
            "stream": "clients",
            "external_id": "0",
            "operation": "updated",
            "before": {"name": "A"},
            "after": {"name": "B"},
        }
        rest = api.get("/api/v1/runs/sync_x/changes?limit=100&offset=10").get_json()["items"]
        keys = [item["external_id"] for item in first["items"] + rest]
        assert keys == [str(number) for number in range(12)]

    def test_none(self, api: Api) -> None:
        api.add_run("sync_x")
        assert api.get("/api/v1/runs/sync_x/changes").get_json() == {"items": [], "total": 0, "kept": False}
        api.add_run("sync_y", sync="properties")
        assert api.get("/api/v1/runs/sync_y/changes").get_json() == {"items": [], "total": 0, "kept": True}
