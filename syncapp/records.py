"""The values that travel through the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

Json = Any  # what orjson reads and writes: dict, list, str, int, float, bool, None


class RunStatus(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (RunStatus.STARTING, RunStatus.RUNNING)
ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    MANUAL = "manual"
    FORCE = "force"
    RETRY = "retry"
    WEBHOOK = "webhook"
    CHANGE = "change"


class HealthLevel(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    STOPPED = "stopped"


class Row(NamedTuple):
    """A record made fit for its destination.

    key      the record's external id, 1 to 255 characters
    values   one per column of the stream's table, in its order; see `syncapp.merge.table.Column` for the types
    cursor   the record's place in the source's order (RFC 3339 UTC, microseconds), None where it has none
    deleted  the source marks the record as removed
    related  rows of other tables that the record carries with it, by the reference's name
    unchanged  the source says that the record is as it was when its mark was kept; it has no values then
    """

    key: str
    values: tuple[Any, ...]
    cursor: str | None = None
    deleted: bool = False
    related: Mapping[str, Row] | None = None
    unchanged: bool = False


class Failure(NamedTuple):
    """A record that cannot be used, on its way to the dead letters."""

    key: str | None
    error_type: str
    message: str
    record: Json


class Page(NamedTuple):
    """What one request to a source brought.

    records      as the source sent them
    position     JSON from which the source can go on after this page; None on the last page
    total        how many records the source says the whole read has, None where it does not say
    source_time  the source's own clock when it answered
    failures     records that the source knows of and could not read
    marks        by key, what the source wants to know of a record that it reads again (an ETag, say), kept with it;
                 None forgets what was kept
    """

    records: Sequence[Json]
    position: Json | None = None
    total: int | None = None
    source_time: datetime | None = None
    failures: Sequence[Failure] = ()
    marks: Mapping[str, Json] = {}


class Change(NamedTuple):
    """One row before and after: objects by field (`syncapp.comparison`) with what differs.

    Both are None for a row that was created or deleted: the table has its content. A dry run tells that content: of
    what it would create in `after`, of what it would delete in `before`.
    """

    key: str
    operation: str  # created | updated | deleted
    before: Mapping[str, Json] | None = None
    after: Mapping[str, Json] | None = None


@dataclass(slots=True)
class Counts:
    """processed = created + updated + unchanged + failed + those of `deleted` that the source marked as removed."""

    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.processed + other.processed,
            self.created + other.created,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.deleted + other.deleted,
            self.failed + other.failed,
        )


@dataclass(slots=True)
class Batch:
    """Rows of one or more pages, written in one transaction with the checkpoint that covers them.

    `prepared` is what the destination made of them beforehand. `before_wait` is for the destination to call where it
    begins to wait for its store: the next batch is made then.
    """

    rows: dict[str, tuple[Row, Json]] = field(default_factory=dict)  # by key, with the record as it came
    failures: list[Failure] = field(default_factory=list)
    marks: dict[str, Json] = field(default_factory=dict)  # by key
    duplicates: int = 0
    prepared: Any = None
    before_wait: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows) + len(self.failures) + self.duplicates


@dataclass(slots=True)
class Applied:
    """What a destination did with a batch. `failures` are the records it could not take.

    `changes` are read once for each call in a transaction; those of other destinations perhaps again: no iterator.
    """

    counts: Counts = field(default_factory=Counts)
    changes: Iterable[Change] = ()
    failures: list[Failure] = field(default_factory=list)
