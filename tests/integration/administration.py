"""The properties' administration as its users see it, and what workers and the scheduler do beside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from beat_schedule import BEAT_SCHEDULE
from syncapp.schedules import align_schedules
from tests.integration.api import Api

SYNC = "/api/v1/admin/sync"
CONFIGURED: dict[str, Any] = {"cupid_api_key": "key", "cupid_api_url": "http://127.0.0.1:9"}
NOTHING_YET = {
    "is_running": False,
    "last_sync": None,
    "next_sync": None,
    "total_properties": 0,
    "updated_properties": 0,
    "failed_properties": 0,
    "sync_interval": "12h",
    "last_error": None,
    "sync_in_progress": False,
    "sync_id": None,
}


def data(api: Api, method: str, path: str = "", **asked: Any) -> Any:
    """What is wrapped in a good answer."""
    answer = api.call(method, SYNC + path, **asked)
    body = answer.get_json()
    assert answer.status_code == (202 if (method, path) == ("POST", "") else 200), body
    assert set(body) == {"success", "data"}
    assert body["success"] is True
    return body["data"]


def status(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = data(api, "GET", "/status")
    assert set(found) == set(NOTHING_YET)
    return found


def tick(api: Api) -> None:
    """As a scheduler that is alive."""
    api.execute("INSERT INTO processes (name, kind, queues) VALUES ('beat', 'scheduler', '{}')")


def align(api: Api) -> Any:
    """As every worker does every few seconds. The rows, by name."""
    rows = align_schedules(api.database, api.settings, lambda: datetime.now(UTC), BEAT_SCHEDULE)
    return {row.name: row for row in rows}
