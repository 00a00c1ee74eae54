"""What the engine asks of the outside. Implementations live in connectors/, guards/, workers/ and testing.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import gcd
from typing import Any, Protocol

import psycopg

from syncapp.records import Applied, Batch, Json, Page

UNEVEN_SECOND = 1.05  # seconds that the requests of one second are spread over


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

    def undo(
        self, connection: psycopg.Connection[Any] | None, context: WriteContext, changes: Sequence[Json]
    ) -> Applied:
        """Puts changes of an earlier run back, in this order. Each is a `Change` as JSON, with its key as
        `external_id`. Asked only where the sync's policy records changes."""

    def count_missing(self, connection: psycopg.Connection[Any], context: WriteContext) -> tuple[int, int]:
        """After a complete read: how many live rows the read did not bring, and, where any, how many there are."""

    def delete_missing(self, connection: psycopg.Connection[Any] | None, context: WriteContext) -> Applied:
        """Removes those that `count_missing`, asked just before, has found."""

    def delete_mocks(self, connection: psycopg.Connection[Any] | None, context: WriteContext) -> int:
        """After a successful live read: remove what a mock read had left; the number of rows."""


class Dispatcher(Protocol):
    """Sends a committed run to a worker. Best effort: what it fails to send, the sweep sends later."""

    def dispatch(self, sync_id: str, queue: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """So many requests in so many seconds, evenly spaced; after a pause, as many at once as the burst.

    In any time, that is at most what fits into it and the burst: choose it so much below what the source allows.
    """

    requests: int
    seconds: float = 1
    burst: int = 1

    def __post_init__(self) -> None:
        if self.requests < 1 or self.seconds < 1 or self.burst < 1:
            raise ValueError("a pace is at least one request in at least one second, and one at once")

    @classmethod
    def per_minute(cls, requests: int) -> Pace:
        """Exactly that, in the smallest bursts of whole seconds: 180 are 3 a second, 100 are 5 in 3 seconds."""
        parts = gcd(requests, 60)
        return cls(requests // parts, 60 // parts, burst=requests // parts)

    @classmethod
    def per_second(cls, requests: int) -> Pace:
        """One at a time, so that no second holds more than one too many, and no ten seconds more than ten times that.

        What goes out evenly arrives unevenly, hence a little slower than it says.
        """
        return cls(requests, UNEVEN_SECOND)

    @property
    def spacing(self) -> float:
        """Seconds from one request to the next."""
        return self.seconds / self.requests

    def __str__(self) -> str:
        return f"{self.requests} times in {self.seconds:g} s"


class RateLimit(Protocol):
    """Permission to send one request, shared by all workers of all hosts."""

    def acquire(self, key: str, pace: Pace, sleep: Callable[[float], object] = time.sleep) -> None:
        """Waits for at most a moment (3 s), with `sleep`, which may raise what ends the waiting.

        Raises RateLimited with the wait where it is longer, or where nobody can tell. The key names the source's quota.
        Where the paces that are given under one key differ, each request follows its own: one that has changed holds
        from the next request on. The key is kept in Redis and must hold no secret: where a quota belongs to a key of
        the source, give a digest of that. Send at once: what is held up after the permission comes out in a heap.
        """
