"""Dead letters as a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from syncapp.db import Database
from syncapp.ports import ReadRequest, Source
from syncapp.reading import Reading
from syncapp.records import Page

PAGE = 500
FOUND_AT_ONCE = 1  # each of them may be several requests: what was asked for is kept when no more are allowed
WAITING = """
SELECT id, external_id, record FROM dead_letters
WHERE sync_id = %s AND stream = %s AND replayable AND replayed_at IS NULL AND id > %s ORDER BY id LIMIT %s"""
REPLAYED = """
UPDATE dead_letters SET replayed_at = now()
WHERE sync_id = %(replay_of)s AND stream = %(stream)s AND replayable AND replayed_at IS NULL AND id <= %(last)s"""


class DeadLetterSource:
    """The records of a run that failed and were not replayed since, oldest first. A position is the last id read.

    Those whose stored copy is not what the source sent are left out: they would be written as they never were. Where
    the stream's source can `find` records by their keys, it is asked for them instead.
    """

    def __init__(
        self, database: Database, sync_id: str, stream: str, find: Callable[[Sequence[str]], Source] | None = None
    ) -> None:
        self._database, self._sync_id, self._stream, self._find = database, sync_id, stream, find

    def read(self, request: ReadRequest) -> Reading:
        return Reading(lambda reading: self._read(reading, request))

    def _read(self, reading: Reading, request: ReadRequest) -> Iterator[Page]:
        last = int(request.position or 0)
        size = PAGE if self._find is None else FOUND_AT_ONCE
        while True:
            with self._database.connection() as connection:
                found = connection.execute(WAITING, (self._sync_id, self._stream, last, size)).fetchall()
            if not found:
                return
            last = found[-1][0]
            if self._find is None:
                yield Page([record for _, _, record in found], position=last)
            else:
                source = self._find([key for _, key, _ in found])
                yield _together(list(reading.open(source, ReadRequest())), last)


def _together(pages: Sequence[Page], position: int) -> Page:
    """What the source has of a few records, as one page."""
    return Page(
        [record for page in pages for record in page.records],
        position=position,
        failures=[failure for page in pages for failure in page.failures],
        marks={key: mark for page in pages for key, mark in page.marks.items()},
    )
