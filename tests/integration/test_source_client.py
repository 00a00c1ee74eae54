"""The source document's own clients, unchanged, over a real HTTP server with a worker behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from werkzeug.serving import make_server

from syncapp.demo.cliniko_records import make_records
from syncapp.engine import execute
from tests.integration import source_client
from tests.integration.api import ago
from tests.integration.cliniko import Practice
from tests.integration.interrupting import before_page
from tests.integration.source_client import HTTPError, RoutiqSyncClient, requests
from tests.waiting import wait_for

ORGANIZATION = "org_2xwHiNrj68eaRUlX10anlXGvzX7"


@dataclass
class Site:
    practice: Practice
    url: str
    token: str
    client: RoutiqSyncClient

    def get(self, path: str) -> Any:
        return requests.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token}"}).json()

    def start(self) -> str:
        return str(self.client.trigger_sync()["sync_id"])


@contextmanager
def served(practice: Practice) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, practice.api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="server")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def worker(practice: Practice) -> Iterator[None]:
    """Takes up what is dispatched."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.02):
            while practice.api.dispatcher.sent:
                execute(practice.api.dispatcher.sent.pop(0)[0], practice.runtime)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def site(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A member's, as the document's users are."""
    monkeypatch.setattr(source_client, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(source_client, "WATCH_SECONDS", 0.02)
    practice.add(ORGANIZATION, records=make_records(1, patients=230, appointments=296))
    token = practice.api.make_token(ORGANIZATION)
    with served(practice) as url:
        yield Site(practice, url, token, RoutiqSyncClient(token, ORGANIZATION, url))


def test_the_usage_of_the_document(site: Site) -> None:
    with worker(site.practice):
        result = site.client.trigger_sync()
        print(f"Sync started: {result['message']}")
        found = site.client.wait_for_sync_completion(result["sync_id"])
    assert (result["success"], result["organization_id"]) == (True, ORGANIZATION)
    assert (result["message"], result["sync_mode"]) == (
        "Comprehensive Cliniko sync started successfully",
        "comprehensive",
    )
    assert (found["status"], found["progress_percentage"], found["errors"]) == ("completed", 100, [])
    assert found["records_processed"] == found["records_total"] > 500
    status = site.client.get_sync_status()
    assert (status["organization_id"], status["sync_running"]) == (ORGANIZATION, False)
    assert datetime.fromisoformat(status["last_sync_time"]) >= datetime.fromisoformat(found["started_at"])
    history = site.get(f"/api/v1/sync/history/{ORGANIZATION}?limit=10")
    assert (history["total_syncs"], history["successful_syncs"], history["failed_syncs"]) == (1, 1, 0)
    [past] = history["recent_syncs"]
    assert past["records_success"] == past["records_processed"] == found["records_processed"]
    assert past["metadata"]["sync_type"] == "comprehensive"
    assert past["metadata"]["appointments_processed"] == 296


def test_the_progress_loop(site: Site) -> None:
    """While the run waits, while it runs, and to its end."""
    lines: list[str] = []
    sync_id = site.start()
    watcher = threading.Thread(
        target=source_client.monitor_sync, args=(site.url, site.token, sync_id, lines.append), name="watcher"
    )
    watcher.start()
    wait_for(lambda: "Progress: 0.0% - Waiting for a worker" in lines)

    def seen() -> None:
        wait_for(lambda: any(line.endswith("% - Appointments") for line in lines))
        assert site.client.get_sync_status()["sync_running"] is True

    with before_page(site.practice.upstream, "individual_appointments", 2, seen), worker(site.practice):
        watcher.join(60)
    assert not watcher.is_alive()
    assert lines[-2:] == ["Progress: 100.0% - Completed", "Sync completed"]
    shares = [float(line.removeprefix("Progress: ").partition("%")[0]) for line in lines[:-1]]
    assert shares == sorted(shares)


def test_a_run_that_fails(site: Site) -> None:
    site.practice.upstream.fail("html", path="/v1/patients")
    with worker(site.practice):
        found = site.client.wait_for_sync_completion(site.start())
    assert found["status"] == "failed"
    assert found["errors"][0]["error_type"] == "invalid_data_format"
    assert source_client.check_sync_health(site.url, site.token, ORGANIZATION) == []


def test_a_second_trigger(site: Site) -> None:
    first = source_client.safe_trigger_sync(site.url, site.token, ORGANIZATION)
    again = source_client.safe_trigger_sync(site.url, site.token, ORGANIZATION)
    assert (again["success"], again["sync_started"], again["sync_id"]) == (True, False, first["sync_id"])


def test_what_goes_wrong_is_an_http_error(site: Site) -> None:
    site.practice.api.execute("DELETE FROM credentials")
    with pytest.raises(HTTPError, match="409"):
        source_client.safe_trigger_sync(site.url, site.token, ORGANIZATION)
    with pytest.raises(HTTPError, match="credentials_not_found"):
        site.client.trigger_sync()
    with pytest.raises(HTTPError, match="403"):
        RoutiqSyncClient(site.token, "org_123", site.url).trigger_sync()
    with pytest.raises(HTTPError, match="401"):
        RoutiqSyncClient("your-token", ORGANIZATION, site.url).get_sync_status()


def test_a_run_that_does_not_end_in_time(site: Site) -> None:
    with pytest.raises(TimeoutError):
        site.client.wait_for_sync_completion(site.start(), timeout=0.1)


def test_the_health_check(site: Site) -> None:
    """Warns of failures of the last 24 hours, and of an average above ten minutes."""

    def add(number: int, status: str, hours: float, seconds: float = 60) -> None:
        at = ago(timedelta(hours=hours))
        times = {"created_at": at, "started_at": at, "completed_at": at + timedelta(seconds=seconds)}
        row = {"sync": "cliniko", "mode": "basic", "organization_id": ORGANIZATION, "status": status}
        site.practice.api.add_run(f"sync_{number}", **row | times)

    def warnings() -> list[str]:
        return source_client.check_sync_health(site.url, site.token, ORGANIZATION)

    assert warnings() == []
    for number in range(2):
        add(number, "failed", hours=number + 1)
    add(2, "failed", hours=30)
    assert warnings() == []
    add(3, "failed", hours=0.5)
    assert warnings() == ["High failure rate: 3 failures in last 24h"]
    add(4, "completed", hours=40, seconds=1_300.5)
    assert warnings() == ["High failure rate: 3 failures in last 24h", "Slow sync performance: 1300.5s average"]


@pytest.mark.parametrize("path", ["scheduler/status", "history/{}?limit=5", "cliniko"])
def test_the_debug_commands(site: Site, path: str) -> None:
    """Those of the document, but for the clean-up, which is the admin's."""
    where = {"cliniko": "/api/v1/cliniko/test-connection/{}"}.get(path, f"/api/v1/sync/{path}").format(ORGANIZATION)
    headers = {"Authorization": f"Bearer {site.token}", "X-Organization-ID": ORGANIZATION}
    assert requests.get(f"{site.url}{where}", headers=headers).status_code == 200
    cleanup = f"{site.url}/api/v1/sync/cleanup"
    assert requests.post(cleanup, headers=headers).status_code == 403
    assert requests.post(cleanup, headers={"Authorization": f"Bearer {site.practice.api.token}"}).ok
