"""The clients of the source document (Sync Management Guide), in Python, with its routes, headers and fields.

`requests` is a stand-in for the library of that name, so that the client reads as the document has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import urllib3

POLL_SECONDS = 5.0
WATCH_SECONDS = 2.0


class HTTPError(Exception):
    """What `raise_for_status` raises."""


class Response:
    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self.status_code, self._body = answer.status, answer.data

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    def json(self) -> Any:
        return orjson.loads(self._body)

    def raise_for_status(self) -> None:
        if not self.ok:
            raise HTTPError(f"HTTP {self.status_code}: {self._body.decode()}")


class requests:
    """As much of the library as the document uses; every call has a connection of its own, as there."""

    @staticmethod
    def get(url: str, headers: dict[str, str]) -> Response:
        return requests._call("GET", url, headers)

    @staticmethod
    def post(url: str, headers: dict[str, str]) -> Response:
        return requests._call("POST", url, headers)

    @staticmethod
    def _call(method: str, url: str, headers: dict[str, str]) -> Response:
        with urllib3.PoolManager(retries=False) as pool:
            return Response(pool.request(method, url, headers=headers))


class RoutiqSyncClient:
    """ "Python Sync Client"."""

    def __init__(self, token: str, org_id: str, base_url: str) -> None:
        self.token = token
        self.org_id = org_id
        self.base_url = base_url

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "X-Organization-ID": self.org_id,
            "Content-Type": "application/json",
        }

    def trigger_sync(self) -> dict[str, Any]:
        response = requests.post(f"{self.base_url}/api/v1/cliniko/sync/{self.org_id}", headers=self._headers())
        response.raise_for_status()
        return dict(response.json())

    def get_sync_status(self) -> dict[str, Any]:
        response = requests.get(f"{self.base_url}/api/v1/sync/scheduler/status", headers=self._headers())
        response.raise_for_status()
        return dict(response.json())

    def wait_for_sync_completion(self, sync_id: str, timeout: float = 600) -> dict[str, Any]:
        start_time = time.time()
        while time.time() - start_time < timeout:
            response = requests.get(f"{self.base_url}/api/v1/sync/progress/{sync_id}", headers=self._headers())
            if response.status_code == 200:
                data = dict(response.json())
                if data["status"] in ["completed", "failed"]:
                    return data
                print(f"Progress: {data['progress_percentage']}%")
            time.sleep(POLL_SECONDS)
        raise TimeoutError("Sync did not complete within timeout")


def monitor_sync(base_url: str, token: str, sync_id: str, log: Callable[[str], object]) -> str:
    """ "Progress Tracking": asks again at once while the run is starting."""
    status = "starting"
    while status in ("starting", "running"):
        response = requests.get(
            f"{base_url}/api/v1/sync/progress/{sync_id}", headers={"Authorization": f"Bearer {token}"}
        )
        progress = response.json()
        status = progress["status"]
        log(f"Progress: {progress['progress_percentage']}% - {progress['current_step']}")
        if status == "running":
            time.sleep(WATCH_SECONDS)
    log(f"Sync {status}")
    return status


def safe_trigger_sync(base_url: str, token: str, org_id: str) -> dict[str, Any]:
    """ "Error Handling", without its second try."""
    response = requests.post(
        f"{base_url}/api/v1/cliniko/sync/{org_id}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    if not response.ok:
        raise HTTPError(f"HTTP {response.status_code}")
    result = dict(response.json())
    if not result["success"]:
        raise HTTPError(result["message"] or "Sync failed")
    return result


def check_sync_health(base_url: str, token: str, org_id: str) -> list[str]:
    """ "Monitoring and Alerting": the warnings. null is less than 600, as JavaScript has it."""
    response = requests.get(
        f"{base_url}/api/v1/sync/history/{org_id}?limit=5", headers={"Authorization": f"Bearer {token}"}
    )
    data, warnings = response.json(), []
    day_ago = datetime.now(UTC) - timedelta(hours=24)
    failures = [
        sync
        for sync in data["recent_syncs"]
        if sync["status"] == "failed" and datetime.fromisoformat(sync["started_at"]) > day_ago
    ]
    if len(failures) > 2:
        warnings.append(f"High failure rate: {len(failures)} failures in last 24h")
    average = data["average_sync_duration_seconds"]
    if (average or 0) > 600:
        warnings.append(f"Slow sync performance: {average}s average")
    return warnings
