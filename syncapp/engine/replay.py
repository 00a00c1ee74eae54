"""Dead letters as a source."""

from __future__ import annotations

from collections.abc import Iterator

from syncapp.db import Database
from syncapp.ports import ReadRequest
from syncapp.records import Page

PAGE = 500
WAITING = """
SELECT id, record FROM dead_letters
WHERE sync_id = %s AND stream = %s AND replayable AND replayed_at IS NULL AND id > %s ORDER BY id LIMIT %s"""
REPLAYED = """
UPDATE dead_letters SET replayed_at = now()
WHERE sync_id = %(replay_of)s AND stream = %(stream)s AND replayable AND replayed_at IS NULL AND id <= %(last)s"""


class DeadLetterSource:
    """The records of a run that failed and were not replayed since, oldest first. A position is the last id read.

    Those whose stored copy is not what the source sent are left out: they would be written as they never were.
    """

    def __init__(self, database: Database, sync_id: str, stream: str) -> None:
        self._database, self._sync_id, self._stream = database, sync_id, stream

    def read(self, request: ReadRequest) -> Iterator[Page]:
        last = int(request.position or 0)
        while True:
            with self._database.connection() as connection:
                found = connection.execute(WAITING, (self._sync_id, self._stream, last, PAGE)).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield Page([record for _, record in found], position=last)
