"""Public fakes and fault injectors, for the tests of syncapp and of those who build on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from syncapp.engine.keys import read_keys
from syncapp.ports import ReadRequest, WriteContext
from syncapp.records import Applied, Batch, Counts, Json, Page, Row


@dataclass
class RecordingDispatcher:
    """A `Carrier` that keeps what it was asked to send. `reachable` False plays a broker that is down."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    reachable: bool = True

    def dispatch(self, sync_id: str, queue: str) -> bool:
        if self.reachable:
            self.sent.append((sync_id, queue))
        return self.reachable

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int] | None:
        """Nothing in any: what was sent has been taken."""
        return dict.fromkeys(queues, 0) if self.reachable else None


@dataclass
class ListSource:
    """A `Source` of records in memory, in pages, with positions, totals and a filter on `updated_at` as real ones have.

    `before_page` is called with each page's number before it is handed over: raise, kill or change the world there.
    """

    records: Sequence[Json]
    page_size: int = 100
    source_time: datetime | None = None
    total: int | None = None
    before_page: Callable[[int], None] | None = None
    requests: list[ReadRequest] = field(default_factory=list)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        self.requests.append(request)
        since = request.since
        records = [one for one in self.records if since is None or one.get("updated_at", since) >= since]
        number = request.position["page"] if request.position else 1
        while True:
            if self.before_page is not None:
                self.before_page(number)
            start = (number - 1) * self.page_size
            page = records[start : start + self.page_size]
            more = start + self.page_size < len(records)
            total = self.total if self.total is not None else len(records)
            yield Page(page, {"page": number + 1} if more else None, total, self.source_time)
            if not more:
                return
            number += 1


@dataclass
class DictDestination:
    """A destination that PostgreSQL's transactions do not reach: a dictionary, written idempotently by key.

    `before_write` is called with each context before anything is written.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    writes: list[WriteContext] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    before_write: Callable[[WriteContext], None] | None = None
    transactional: bool = False

    def prepare(self, batch: Batch, *, mock: bool) -> None:
        del batch, mock

    def apply(self, connection: psycopg.Connection[Any] | None, context: WriteContext, batch: Batch) -> Applied:
        del connection
        if self.before_write is not None:
            self.before_write(context)
        self.writes.append(context)
        counts = Counts(processed=len(batch), failed=len(batch.failures))
        for key, (row, _) in batch.rows.items():
            if key not in self.rows:
                counts.created += 1
            elif self.rows[key] != row:
                counts.updated += 1
            if not context.dry_run:
                self.rows[key] = row
        counts.unchanged = counts.processed - counts.failed - counts.created - counts.updated
        return Applied(counts, failures=list(batch.failures))

    def count_missing(self, connection: psycopg.Connection[Any], context: WriteContext) -> tuple[int, int]:
        self.missing = self.rows.keys() - read_keys(connection, context)
        return len(self.missing), len(self.rows)

    def delete_missing(self, connection: psycopg.Connection[Any] | None, context: WriteContext) -> Applied:
        del connection
        if self.before_write is not None:
            self.before_write(context)
        for key in () if context.dry_run else self.missing:
            del self.rows[key]
        return Applied(Counts(deleted=len(self.missing)))

    def delete_mocks(self, connection: psycopg.Connection[Any] | None, context: WriteContext) -> int:
        del connection, context
        return 0
