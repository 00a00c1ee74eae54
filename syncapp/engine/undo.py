"""The changes of an earlier run as a source, for the run that puts them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncapp.db import Database
from syncapp.ports import ReadRequest
from syncapp.records import Page, Row

PAGE = 100
BEFORE = """
SELECT id, jsonb_build_object('id', id, 'external_id', external_id, 'operation', operation,
                              'before', before, 'after', after)
FROM run_changes WHERE sync_id = %(sync_id)s AND stream = %(stream)s
  AND (%(position)s::bigint IS NULL OR id < %(position)s) ORDER BY id DESC LIMIT %(size)s"""
COUNT = "SELECT count(*) FROM run_changes WHERE sync_id = %(sync_id)s AND stream = %(stream)s"


class ChangeSource:
    """What a run changed in one stream, the latest first. A position is the last id read."""

    def __init__(self, database: Database, sync_id: str, stream: str) -> None:
        self._database, self._of = database, {"sync_id": sync_id, "stream": stream}

    def read(self, request: ReadRequest) -> Iterator[Page]:
        position = request.position
        with self._database.connection() as connection:
            (total,) = connection.execute(COUNT, self._of).fetchone() or (0,)
        while True:
            values = self._of | {"position": position, "size": PAGE}
            with self._database.connection() as connection:
                found = connection.execute(BEFORE, values).fetchall()
            if not found:
                return
            position = found[-1][0]
            yield Page([change for _, change in found], position, total)


def as_change(record: Any) -> Row:
    """A change by its own number: a run may have changed a row twice."""
    return Row(str(record["id"]), ())
