"""Organizations with accounts at a stand-in for Cliniko, over the API's test client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from syncapp.demo.cliniko_account import Account
from syncapp.demo.cliniko_api import ClinikoServer
from syncapp.demo.faults import Records
from syncapp.engine import Runtime, execute
from syncapp.guards.rate_limit import LocalRateLimit
from syncapp.registry import find_sync
from tests.integration.api import Api, open_api

KEY = "body-of-a-key-au4"
HURRY: Mapping[str, Any] = {"batch_records": 20, "cursor_overlap": 0.001}


class NoLimit(LocalRateLimit):
    """For tests that are about something else."""

    def acquire(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Practice:
    """The API, the stand-in, and a worker in this process."""

    api: Api
    upstream: ClinikoServer
    runs: list[str] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.api.settings, self.api.database, find_sync, "test", rate_limit=NoLimit())

    def add(self, organization_id: str, key: str = KEY, records: Records | None = None) -> Account:
        """An organization whose key is stored, and its account."""
        account = self.upstream.api.accounts.get(key) or self.upstream.api.add(key, records)
        self.api.add_organization(organization_id)
        answer = self.api.call("PUT", f"/api/v1/cliniko/credentials/{organization_id}", json={"api_key": key})
        assert answer.status_code == 200, answer.get_json()
        return account

    def start(self, organization_id: str, mode: str = "basic", **asked: Any) -> str:
        body = {"sync": "cliniko", "organization_id": organization_id, "mode": mode} | asked
        answer = self.api.post("/api/v1/runs", json=body)
        assert answer.status_code == 202, answer.get_json()
        return str(answer.get_json()["sync_id"])

    def sync(self, organization_id: str, mode: str = "basic", **asked: Any) -> dict[str, Any]:
        """A run of its own, worked on here; how it ended."""
        sync_id = self.start(organization_id, mode, **asked)
        execute(sync_id, self.runtime)
        return self.run(sync_id)

    def run(self, sync_id: str) -> dict[str, Any]:
        return self.api.query("SELECT * FROM sync_runs WHERE sync_id = %s", sync_id)[0]

    def rows(self, table: str, organization_id: str) -> dict[str, dict[str, Any]]:
        found = self.api.query(f"SELECT * FROM {table} WHERE organization_id = %s", organization_id)
        return {row["external_id"]: row for row in found}

    def paths(self, key: str = KEY) -> list[str]:
        """What was asked of an account since the last time."""
        calls = self.upstream.api.requests_of(key)
        self.upstream.api.account(key).calls.clear()
        return [call.path.removeprefix("/v1/") for call in calls]


@contextmanager
def open_practice(database_url: str, redis_url: str, **settings: Any) -> Iterator[Practice]:
    with ClinikoServer({}, limit=100_000) as upstream:
        wanted = {"cliniko_api_url": f"{upstream.url}/v1", "external_api_retry_attempts": 0} | dict(HURRY) | settings
        with open_api(database_url, redis_url, **wanted) as api:
            yield Practice(api, upstream)
