"""Pages become batches of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from syncapp.definition import Normalize
from syncapp.errors import InvalidRecord, TransientError
from syncapp.records import Batch, Failure, Page

# What a normalizer raises on a record that its author did not foresee: that one is bad, the run goes on.
MISUNDERSTOOD = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
MAX_SECONDS = 2.0  # a slow source shows progress all the same


class Collected(NamedTuple):
    """A batch and what its last page told. `last` is true for the read's last batch."""

    batch: Batch
    cursor: str | None
    page: Page
    pages: int
    last: bool


@dataclass(slots=True)
class Collector:
    """Normalizes records into a batch; of two with the same key the newer one, else the later one, stands."""

    normalize: Normalize
    batch: Batch = field(default_factory=Batch)
    cursor: str | None = None

    def add(self, page: Page) -> None:
        self.batch.failures.extend(page.failures)
        self.batch.marks.update(page.marks)
        rows, normalize = self.batch.rows, self.normalize
        for record in page.records:
            try:
                row = normalize(record)
            except InvalidRecord as error:
                failure = Failure(error.external_id, error.error_type, error.message, record)
                self.batch.failures.append(failure)
                continue
            except MISUNDERSTOOD as error:
                message = f"the record was not understood ({type(error).__name__})"
                self.batch.failures.append(Failure(None, InvalidRecord.error_type, message, record))
                continue
            key, cursor = row.key, row.cursor
            if cursor is not None and (self.cursor is None or cursor > self.cursor):
                self.cursor = cursor
            if key in rows:
                self.batch.duplicates += 1
                earlier = rows[key][0].cursor
                if earlier is not None and cursor is not None and earlier > cursor:
                    continue
            rows[key] = (row, record)


def collect(
    pages: Iterator[Page], normalize: Normalize, size: int, prepare: Callable[[Batch], None]
) -> Generator[Collected, None, None]:
    """Batches of at least `size` records, of whole pages; the last one may be smaller, or empty. Closes `pages`.

    What had been read before the source failed for a while is handed over before its error is: a source that allows
    less than a batch at a time is read all the same.
    """
    collector, count, began, last = Collector(normalize), 0, time.monotonic(), False
    page = Page(())

    def collected() -> Collected:
        prepare(collector.batch)
        return Collected(collector.batch, collector.cursor, page, count, last)

    try:
        for page in pages:
            collector.add(page)
            count += 1
            last = page.position is None
            if last or len(collector.batch) >= size or time.monotonic() - began > MAX_SECONDS:
                yield collected()
                collector, count, began = Collector(normalize, cursor=collector.cursor), 0, time.monotonic()
        if not last:
            last = True
            yield collected()
    except TransientError:
        if count:
            yield collected()
        raise
    finally:
        _close(pages)


def end_wait(pages: Iterator[Page]) -> None:
    """Ends a read from another thread than the one that may be waiting in it: only readers of their own kind can that.
    A generator is closed by the thread that is in it."""
    if not isinstance(pages, Generator):
        _close(pages)


def _close(pages: Iterator[Page]) -> None:
    close = getattr(pages, "close", None)
    if close is not None:
        close()
