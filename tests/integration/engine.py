"""A small sync over records in memory, and the ways the engine's tests look at what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.rows import dict_row

from config.settings import Settings
from syncapp.commands import RunRequest, trigger_run
from syncapp.db import Database
from syncapp.definition import Every, Policy, Stream, Sync
from syncapp.engine import Runtime, commit, execute
from syncapp.engine.lease import LeaseLost
from syncapp.errors import NotFound
from syncapp.registry import SYNCS
from syncapp.scope import Scope
from syncapp.syncs.wellness import CLIENT_TABLE, normalize_clients
from syncapp.testing import ListSource

DEFAULT = Scope("default")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


def client(number: int, **changes: Any) -> dict[str, Any]:
    record = {
        "id": number,
        "name": f"Client {number}",
        "email": f"client{number}@example.com",
        "phone": "+1 555 0100",
        "updated_at": "2025-06-30T12:00:00Z",
    }
    return record | changes


@dataclass
class World:
    """A database, a source in memory, and the sync `clients` between them."""

    database: Database
    settings: Settings
    source: Any
    policy: Policy = field(default_factory=Policy)
    mock: Any = None
    destination: Any = None
    stop: Any = lambda: False
    owner: str = "test"
    runs: list[str] = field(default_factory=list)

    @property
    def sync(self) -> Sync:
        real = next(sync for sync in SYNCS if sync.name == "clients")
        stream = Stream(
            name="clients",
            source=lambda _: self.source,
            normalize=normalize_clients,
            table=None if self.destination else CLIENT_TABLE,
            destination=(lambda _: self.destination) if self.destination else None,
            mock=(lambda _: self.mock) if self.mock else None,
        )
        return replace(real, streams=(stream,), policy=self.policy, missing=lambda _: (), every=Every(cron="0 0 * * *"))

    def find_sync(self, name: str) -> Sync:
        if name != "clients":
            raise NotFound(name)
        return self.sync

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.settings, self.database, self.find_sync, self.owner, stop=self.stop)

    def trigger(self, **asked: Any) -> str:
        request = RunRequest("clients", **asked)
        answer = trigger_run(self.database, DEFAULT, self.settings, lambda: datetime.now(UTC), request)
        assert answer.sync_started
        return answer.sync_id

    def execute(self, sync_id: str) -> str:
        return execute(sync_id, self.runtime)

    def sync_once(self, **asked: Any) -> dict[str, Any]:
        sync_id = self.trigger(**asked)
        self.execute(sync_id)
        return self.run(sync_id)

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with self.database.connection() as connection:
            return connection.cursor(row_factory=dict_row).execute(statement, parameters).fetchall()

    def run(self, sync_id: str) -> dict[str, Any]:
        return self.query("SELECT * FROM sync_runs WHERE sync_id = %s", sync_id)[0]

    def rows(self) -> dict[str, dict[str, Any]]:
        found = self.query("SELECT * FROM clients WHERE deleted_at IS NULL AND sync_status <> 'pending'")
        return {row["external_id"]: row for row in found}

    def counts(self, run: dict[str, Any]) -> tuple[int, ...]:
        names = ("processed", "created", "updated", "unchanged", "deleted", "failed")
        return tuple(run[f"records_{name}"] for name in names)


MakeWorld = Callable[..., World]


def make_world(database_url: str, records: list[Any], page_size: int = 10, **settings: Any) -> World:
    wanted = {"mock_api_url": "http://127.0.0.1:9", "worker_retry_interval": 60, "batch_records": 10} | settings
    return World(Database(database_url), Settings(**wanted), ListSource(records, page_size=page_size))


def fail_once_at(page: int, error: Exception) -> Callable[[int], None]:
    failed: list[int] = []

    def before(number: int) -> None:
        if number == page and not failed:
            failed.append(number)
            raise error

    return before


def always(error: Exception) -> Callable[[int], None]:
    def before(_: int) -> None:
        raise error

    return before


def take_over(world: World) -> None:
    """As another worker would, whose token is a newer one."""
    world.query("UPDATE sync_runs SET lease_token = lease_token + 1 RETURNING 1")


def kill_after_batch(world: World, monkeypatch: pytest.MonkeyPatch, number: int, sync_id: str) -> None:
    """Works on the run until its worker is lost with what comes after that batch."""
    write = commit.write_checkpoint

    def write_until_lost(connection: Any, lease: Any, stream: str, expected: int, values: Any) -> None:
        if expected == number:
            raise LeaseLost
        write(connection, lease, stream, expected, values)

    with monkeypatch.context() as patch:
        patch.setattr(commit, "write_checkpoint", write_until_lost)
        assert world.execute(sync_id) == "skipped"
