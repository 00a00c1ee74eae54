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
from syncapp.engine.line import HAS_ROOM, LOCK, SOMEBODY_IS_FIRST, WAITS, line_values
from syncapp.engine.runtime import Runtime
from syncapp.errors import DatabaseUnavailable, SyncError
from syncapp.guards.backoff import backoff_seconds
from syncapp.records import Json

T = TypeVar("T")
LONGEST_PAUSE = 1.0  # seconds between two beats


class LeaseLost(Exception):
    """Another worker has taken the run, or it was ended. Nothing more may be written."""


# One that may not be taken now, though it is due, waits for the sweep to send it again.
TAKE = f"""
WITH taken AS (
    UPDATE sync_runs run SET status = 'running', lease_token = lease_token + 1, lease_owner = %(owner)s,
        lease_expires_at = clock_timestamp() + make_interval(secs => %(seconds)s), attempt = attempt + 1,
        resume_at = NULL, started_at = coalesce(started_at, now()), event_seq = event_seq + 1
    WHERE sync_id = %(sync_id)s AND {WAITS} AND {HAS_ROOM} AND NOT {SOMEBODY_IS_FIRST}
    RETURNING *
), told AS (
    INSERT INTO run_events (sync_id, seq, kind, data) SELECT sync_id, event_seq,
        CASE attempt WHEN 1 THEN 'started' ELSE 'resumed' END, jsonb_build_object('attempt', attempt) FROM taken
), left_waiting AS (
    UPDATE sync_runs SET dispatched_at = NULL
    WHERE sync_id = %(sync_id)s AND {WAITS} AND NOT EXISTS (SELECT FROM taken)
)
SELECT *, now() AS taken_at FROM taken"""

BEAT = f"""
UPDATE sync_runs run SET lease_expires_at = now() + make_interval(secs => %(seconds)s)
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running' AND lease_owner IS NOT NULL
RETURNING cancel_requested_at IS NOT NULL, %(slice_over)s AND {SOMEBODY_IS_FIRST}"""

SHOW = """
UPDATE sync_runs SET steps = %(steps)s::jsonb, current_operation = %(operation)s
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running' RETURNING sync_id"""

WAIT = """
UPDATE sync_runs SET lease_owner = NULL, lease_expires_at = NULL, dispatched_at = NULL, waiting_since = now(),
       attempt = attempt - %(back)s,
       resume_at = CASE WHEN %(wait)s > 0 THEN now() + make_interval(secs => %(wait)s) END,
       error_type = %(error_type)s, error_code = %(error_code)s, error_message = %(error_message)s,
       retry_after = %(retry_after)s, current_operation = %(operation)s
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running' AND lease_owner IS NOT NULL
RETURNING sync_id"""


@dataclass(slots=True)
class Lease:
    """A run in this worker's hands. `lost`, `cancelled` and `must_yield` are set by the heartbeat.

    It must yield when it has been here for RUN_SLICE and others wait who come before it.
    """

    runtime: Runtime
    run: dict[str, Any]
    began: float = field(default_factory=time.monotonic)
    lost: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    must_yield: threading.Event = field(default_factory=threading.Event)

    @property
    def database(self) -> Database:
        return self.runtime.database

    @property
    def seconds(self) -> float:
        return self.runtime.settings.lease_seconds

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
        while not ended.wait(min(LONGEST_PAUSE, self.seconds / 4)):
            try:
                self.beat()
            except DatabaseUnavailable:
                continue  # the next batch will meet the same outage, and knows what to do
            except LeaseLost:
                return

    def beat(self) -> None:
        """Raises LeaseLost, DatabaseUnavailable."""
        settings = self.runtime.settings
        over = time.monotonic() - self.began >= settings.run_slice
        values = self.key | line_values(settings) | {"slice_over": over}
        with self.database.connection() as connection:
            row = connection.execute(BEAT, values).fetchone()
        if row is None:
            self.lost.set()
            raise LeaseLost(self.sync_id)
        cancelled, others_wait = row
        if cancelled:
            self.cancelled.set()
        if others_wait and self.runtime.gives_way():
            self.must_yield.set()
        else:
            self.must_yield.clear()

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
        """Gives the run back to the end of the line, to be taken up after `seconds`.

        `kind` is the event: parked, retrying, released or yielded.
        """
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


def take_lease(sync_id: str, runtime: Runtime) -> Lease | None:
    """The run, if it is nobody else's, due, has attempts left, and no other comes first. Raises DatabaseUnavailable."""
    settings = runtime.settings
    values = {"sync_id": sync_id, "owner": runtime.owner, "seconds": settings.lease_seconds} | line_values(settings)
    with runtime.database.connection() as connection:
        with connection.pipeline():
            connection.execute(LOCK, values)
            taken = connection.cursor(row_factory=dict_row).execute(TAKE, values)
        row = taken.fetchone()
    return None if row is None else Lease(runtime, row)
