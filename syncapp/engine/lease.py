"""The right to work on a run: taken, kept by a heartbeat, fenced by a token, given back.

Every statement names the token. A worker whose token is no longer the run's changes no row and raises `LeaseLost`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from syncapp.db import Database
from syncapp.engine.ending import end_held_run, error_facts
from syncapp.engine.events import add_event
from syncapp.errors import DatabaseUnavailable, SyncError
from syncapp.guards.backoff import backoff_seconds
from syncapp.records import Json

T = TypeVar("T")


class LeaseLost(Exception):
    """Another worker has taken the run, or it was ended. Nothing more may be written."""


TAKE = """
UPDATE sync_runs SET status = 'running', lease_token = lease_token + 1, lease_owner = %(owner)s,
       lease_expires_at = now() + make_interval(secs => %(seconds)s), attempt = attempt + 1, resume_at = NULL,
       started_at = coalesce(started_at, now())
WHERE sync_id = %(sync_id)s AND status IN ('starting', 'running') AND attempt < %(attempts)s
  AND (lease_expires_at IS NULL OR lease_expires_at < now()) AND (resume_at IS NULL OR resume_at <= now())
  AND cancel_requested_at IS NULL
RETURNING *, now() AS taken_at"""

BEAT = """
UPDATE sync_runs SET lease_expires_at = now() + make_interval(secs => %(seconds)s)
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running' AND lease_owner IS NOT NULL
RETURNING cancel_requested_at IS NOT NULL"""

SHOW = """
UPDATE sync_runs SET steps = %(steps)s::jsonb, current_operation = %(operation)s
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running' RETURNING sync_id"""

WAIT = """
UPDATE sync_runs SET lease_owner = NULL, lease_expires_at = NULL, dispatched_at = NULL, attempt = attempt - %(back)s,
       resume_at = CASE WHEN %(wait)s > 0 THEN now() + make_interval(secs => %(wait)s) END,
       error_type = %(error_type)s, error_code = %(error_code)s, error_message = %(error_message)s,
       retry_after = %(retry_after)s, current_operation = %(operation)s
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running' AND lease_owner IS NOT NULL
RETURNING sync_id"""


@dataclass(slots=True)
class Lease:
    """A run in this worker's hands. `lost` and `cancelled` are set by the heartbeat."""

    database: Database
    run: dict[str, Any]
    seconds: float
    lost: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def sync_id(self) -> str:
        return str(self.run["sync_id"])

    @property
    def taken_at(self) -> datetime:
        taken: datetime = self.run["taken_at"]
        return taken

    @property
    def key(self) -> dict[str, Any]:
        return {"sync_id": self.sync_id, "token": self.run["lease_token"], "seconds": self.seconds}

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Keeps the lease in a thread of its own, so that a slow page does not lose it."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=(ended,), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat_until(self, ended: threading.Event) -> None:
        while not ended.wait(min(1.0, self.seconds / 4)):
            try:
                self.beat()
            except DatabaseUnavailable:
                continue  # the next batch will meet the same outage, and knows what to do
            except LeaseLost:
                return

    def beat(self) -> None:
        """Raises LeaseLost, DatabaseUnavailable."""
        with self.database.connection() as connection:
            row = connection.execute(BEAT, self.key).fetchone()
        if row is None:
            self.lost.set()
            raise LeaseLost(self.sync_id)
        if row[0]:
            self.cancelled.set()

    def in_transaction(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Does `work` in a transaction; again after a deadlock or while PostgreSQL restarts, for as long as a lease
        lasts. Raises DatabaseUnavailable."""
        deadline = time.monotonic() + self.seconds
        tries = 0
        while True:
            tries += 1
            try:
                with self.database.connection() as connection:
                    return work(connection)
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(backoff_seconds(tries, 0.05, cap=1.0))

    def show(self, operation: str, steps: str) -> None:
        """Says what the run is doing before its first batch is there. Raises LeaseLost, DatabaseUnavailable."""
        values = self.key | {"operation": operation, "steps": steps}
        if self.in_transaction(lambda connection: connection.execute(SHOW, values).fetchone()) is None:
            raise LeaseLost(self.sync_id)

    def end(self, connection: psycopg.Connection[Any], status: str, error: SyncError | None = None) -> None:
        """Ends the run in the caller's transaction. Raises LeaseLost."""
        if not end_held_run(connection, self.sync_id, self.run["lease_token"], status, error):
            raise LeaseLost(self.sync_id)

    def wait(self, kind: str, seconds: float, error: SyncError | None, *, attempt_spent: bool) -> None:
        """Gives the run back, to be taken up after `seconds`; `kind` is the event: parked, retrying or released."""
        facts = error_facts(error)
        operation = error.message if error else None
        values = self.key | facts | {"wait": seconds, "back": 0 if attempt_spent else 1, "operation": operation}
        data: Mapping[str, Json] = {"seconds": round(seconds, 1), "attempt": self.run["attempt"]} | {
            name: value for name, value in facts.items() if value is not None
        }

        def give_back(connection: psycopg.Connection[Any]) -> None:
            if connection.execute(WAIT, values).fetchone() is None:
                raise LeaseLost(self.sync_id)
            add_event(connection, self.sync_id, kind, data)

        self.in_transaction(give_back)


def take_lease(database: Database, sync_id: str, owner: str, seconds: float, attempts: int) -> Lease | None:
    """The run, if it is nobody else's, due, and has attempts left. Raises DatabaseUnavailable."""
    values = {"sync_id": sync_id, "owner": owner, "seconds": seconds, "attempts": attempts}
    with database.connection() as connection:
        row = connection.cursor(row_factory=dict_row).execute(TAKE, values).fetchone()
        if row is None:
            return None
        add_event(connection, sync_id, "started" if row["attempt"] == 1 else "resumed", {"attempt": row["attempt"]})
    return Lease(database, row, seconds)
