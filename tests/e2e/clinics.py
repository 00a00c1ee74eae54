"""Organizations with accounts at a stand-in for Cliniko, worked on by a fleet of real processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from config.settings import Settings
from syncapp import commands
from syncapp.commands import RunRequest
from syncapp.credentials import owner_of
from syncapp.db import Database
from syncapp.demo.cliniko_account import Account, Call
from syncapp.demo.cliniko_api import ClinikoServer
from syncapp.demo.faults import Records
from syncapp.encryption import Vault
from syncapp.engine import Runtime, execute
from syncapp.engine.runtime import utc_now
from syncapp.guards.rate_limit import LocalRateLimit
from syncapp.queries.progress import view_progress
from syncapp.registry import find_sync
from syncapp.scope import EVERYONE, Scope
from tests.e2e.fleet import Fleet
from tests.keys import SECRET_KEY
from workers.dispatch import CeleryDispatcher

PAGE = 100  # of Cliniko; it gives no larger ones
COUNTS = ("processed", "created", "updated", "unchanged", "deleted", "failed")


class NoLimit(LocalRateLimit):
    """For what is read in the test's own process."""

    def acquire(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Clinics:
    """What is triggered here is sent as the API sends it; the fleet's workers do it."""

    fleet: Fleet
    cliniko: ClinikoServer
    settings: Settings
    database: Database
    dispatcher: CeleryDispatcher

    def add(self, organization_id: str, key: str, records: Records | None = None) -> Account:
        """An organization whose key is stored, and the key's account: of these records, or the one there is."""
        account = self.cliniko.api.account(key) if records is None else self.cliniko.api.add(key, records)
        sealed = Vault(self.settings).seal(key, owner_of(organization_id, "cliniko"))
        self.fleet.execute("INSERT INTO organizations (id, name) VALUES (%s, %s)", organization_id, organization_id)
        self.fleet.execute(
            "INSERT INTO credentials (organization_id, provider, secret) VALUES (%s, 'cliniko', %s)",
            organization_id,
            sealed,
        )
        return account

    def start(self, organization_id: str, mode: str = "basic", **asked: Any) -> str:
        request = RunRequest("cliniko", mode=mode, **asked)
        run = commands.trigger_run(self.database, Scope(organization_id), self.settings, utc_now, request)
        self.dispatcher.dispatch(run.sync_id, run.queue)
        return run.sync_id

    def sync_here(self, organization_id: str, mode: str = "basic", **asked: Any) -> dict[str, Any]:
        """A run of its own in this process, without a pace; how it ended."""
        request = RunRequest("cliniko", mode=mode, **asked)
        run = commands.trigger_run(self.database, Scope(organization_id), self.settings, utc_now, request)
        execute(run.sync_id, Runtime(self.settings, self.database, find_sync, "here", rate_limit=NoLimit()))
        return self.fleet.run(run.sync_id)

    def percentage(self, sync_id: str) -> float:
        return view_progress(self.database, EVERYONE, sync_id).progress_percentage

    def events(self, sync_id: str) -> list[dict[str, Any]]:
        return self.fleet.rows("SELECT kind, data FROM run_events WHERE sync_id = %s ORDER BY seq", sync_id)

    def rows(self, table: str, organization_id: str) -> dict[str, dict[str, Any]]:
        found = self.fleet.rows(f"SELECT * FROM {table} WHERE organization_id = %s", organization_id)
        return {row["external_id"]: row for row in found}

    def calls(self, key: str) -> list[Call]:
        return self.cliniko.api.requests_of(key)


@contextmanager
def open_clinics(fleet: Fleet, **limit: Any) -> Iterator[Clinics]:
    """`limit` is the stand-in's: `limit` requests in `window` seconds."""
    with ClinikoServer({}, **limit) as cliniko:
        address = f"{cliniko.url}/v1"
        fleet.environment |= {"CLINIKO_API_URL": address, "BATCH_RECORDS": str(PAGE), "LEASE_SECONDS": "3"}
        settings = Settings(
            database_url=fleet.dsn,
            redis_url=fleet.redis_url,
            syncapp_secret_key=SECRET_KEY,
            cliniko_api_url=address,
            external_api_retry_attempts=0,
        )
        database, dispatcher = Database(settings.database), CeleryDispatcher(settings)
        try:
            yield Clinics(fleet, cliniko, settings, database, dispatcher)
        finally:
            dispatcher.close()
            database.dispose()


def counts(run: dict[str, Any]) -> dict[str, int]:
    return {name: run[f"records_{name}"] for name in COUNTS}


def page_of(call: Call) -> int:
    return int(parse_qs(call.query).get("page", ["1"])[0])


def most_within(times: Sequence[datetime], seconds: float) -> int:
    """The most of these times that lie in any so many seconds."""
    span, first, most = timedelta(seconds=seconds), 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - span:
            first += 1
        most = max(most, last - first + 1)
    return most
