"""What the engine asks of the outside. Implementations live in connectors/, guards/, workers/ and testing.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import psycopg

from syncapp.records import Applied, Batch, Json, Page


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Where a read begins.

    since     the cursor with its overlap taken off (RFC 3339 UTC); None reads everything
    position  what the last `Page` handed over before an interruption; None begins at the first page
    """

    since: str | None = None
    position: Json | None = None


class Source(Protocol):
    """A place records are read from. Raises `TransientError`, `PermanentError`; never yields half a page."""

    def read(self, request: ReadRequest) -> Iterator[Page]: ...


@dataclass(frozen=True, slots=True)
class WriteContext:
    """For whom a batch is written.

    number          counts the batches of the run's stream, over all its attempts
    read_started    PostgreSQL's clock when the read began: what others wrote since cannot be missing
    keep_newer      a row that is newer than the record stays (replays of old records)
    record_changes  hand over rows before and after
    """

    sync_id: str
    organization_id: str
    stream: str
    number: int
    mock: bool = False
    dry_run: bool = False
    read_started: datetime | None = None
    keep_newer: bool = False
    record_changes: bool = False


class Destination(Protocol):
    """A place batches are written to.

    `transactional` destinations write through the connection they are handed, so that batch and checkpoint commit
    together. Others get None, must be idempotent by key, and are asked for nothing before the lease was checked.
    The keys that were read are kept by the engine: `syncapp.engine.keys` tells them.
    """

    transactional: bool

    def prepare(self, batch: Batch, *, mock: bool) -> None:
        """What can be done for the batch without its store, in the thread that reads, while another one is written."""

    def apply(self, connection: psycopg.Connection[Any] | None, context: WriteContext, batch: Batch) -> Applied: ...

    def count_missing(self, connection: psycopg.Connection[Any], context: WriteContext) -> tuple[int, int]:
        """After a complete read: how many live rows the read did not bring, and, where any, how many there are."""

    def delete_missing(self, connection: psycopg.Connection[Any] | None, context: WriteContext) -> Applied:
        """Removes those that `count_missing`, asked just before, has found."""

    def delete_mocks(self, connection: psycopg.Connection[Any] | None, context: WriteContext) -> int:
        """After a successful live read: remove what a mock read had left; the number of rows."""


class Dispatcher(Protocol):
    """Sends a committed run to a worker. Best effort: what it fails to send, the sweep sends later."""

    def dispatch(self, sync_id: str, queue: str) -> bool: ...


class RateLimit(Protocol):
    """Permission to send one request, shared by all workers of all hosts."""

    def acquire(self, key: str) -> None:
        """Waits for at most a moment; raises `RateLimited` with the wait where it is longer."""
