"""Rows on their way into their table: new ones straight, changed ones through a temporary table and an upsert."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import psycopg

from syncapp.comparison import compare
from syncapp.errors import InvalidRecord
from syncapp.merge.encode import Encoded, encode_line
from syncapp.merge.references import resolve
from syncapp.merge.statements import Statements
from syncapp.ports import WriteContext
from syncapp.records import Applied, Change, Failure, Json, Row

Connection = psycopg.Connection[Any]
FEW = 100
PIECE = 250  # rows that are handed to libpq at once: it keeps room for the largest one
REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
SAVEPOINT = "SAVEPOINT nothing_written"  # set before `Writer.write`, in a round trip with other statements
ROLL_BACK = "ROLLBACK TO SAVEPOINT nothing_written"


class Written(NamedTuple):
    """How many rows were created and updated, and how many were written as removed."""

    created: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: tuple[int, ...]) -> Written:  # type: ignore[override]
        return Written(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the rows of one batch that differ, in the caller's transaction. What becomes of them goes to `applied`.

    `rows` has all rows of the batch by their keys, with their records.
    """

    sql: Statements
    connection: Connection
    context: WriteContext
    applied: Applied
    rows: Mapping[str, tuple[Row, Json]]

    def write(self, changed: Sequence[Encoded], known: Mapping[str, int | None]) -> Written:
        """Writes rows that differ. `known` has the keys of the rows that are there.

        New rows go straight into the table, for half the price. Where one row is refused, or somebody else has written
        it in the meantime, all go the long way. Rows come in the order of their keys, as there.
        """
        if not changed:
            return Written()
        if self.context.dry_run:
            return self._upsert(changed)
        new = sorted([one for one in changed if one[0] not in known])
        try:
            inserted = self._insert(new) if new else Written()
            written = inserted + self._upsert([one for one in changed if one[0] in known])
        except REFUSED:
            self.connection.execute(ROLL_BACK)
            return self.merge(changed)
        if self.context.record_changes:
            self._note([Change(key, "created") for key, _, _ in new])
        return written

    def insert_blindly(self, rows: Sequence[Encoded], before_wait: Callable[[], None]) -> Written | None:
        """Inserts rows without having looked whether they are there; None where that was wrong, and nothing is."""
        self.connection.execute(SAVEPOINT)
        try:
            return self._insert(sorted(rows), before_wait)
        except REFUSED:
            self.connection.execute(ROLL_BACK)
            return None

    def merge(self, rows: Sequence[Encoded]) -> Written:
        """What PostgreSQL refuses is halved until the bad record stands alone."""
        try:
            with self.connection.transaction():
                return self._upsert(rows)
        except REFUSED as error:
            if len(rows) == 1:
                key = rows[0][0]
                reason = _reason(error)
                self.applied.failures.append(Failure(key, InvalidRecord.error_type, reason, self.rows[key][1]))
                return Written()
        half = len(rows) // 2
        return self.merge(rows[:half]) + self.merge(rows[half:])

    def _insert(self, rows: Sequence[Encoded], before_wait: Callable[[], None] = lambda: None) -> Written:
        """`now` is what PostgreSQL's `now()` is."""
        common = f',"{self.context.organization_id}",now,synced,{self.context.mock}\n'
        self._copy(self.sql.copy_new, rows, common.encode(), before_wait)
        says_removed = self.sql.table.says_removed
        removed = sum(self.rows[key][0].values[-1] is not None for key, _, _ in rows) if says_removed else 0
        return Written(created=len(rows) - removed, deleted=removed)

    def _upsert(self, rows: Sequence[Encoded]) -> Written:
        if not rows:
            return Written()
        compared = self.context.dry_run or self.context.record_changes
        few = self._as_json(rows) if len(rows) <= FEW and not compared else None
        if few is not None:
            return self._count(self.sql.upsert_few, {"rows": few})
        with self.connection.pipeline():
            self.connection.execute(self.sql.create_staging)
            self.connection.execute(self.sql.empty_staging)  # of what another half of the batch left
        self._copy(self.sql.copy, rows, b"\n")
        if not compared:
            return self._count(self.sql.upsert, {})
        changes = self._compare()
        if not self.context.dry_run:  # a row may be written of which nothing has changed, after an error for example
            found = self.connection.execute(self.sql.upsert_listing, self._parameters).fetchall()
            keys = {key for (key,) in found}
            changes = [change for change in changes if change.key in keys]
        self._note(changes)
        done = [change.operation for change in changes]
        return Written(*(done.count(operation) for operation in Written._fields))

    def _note(self, changes: list[Change]) -> None:
        self.applied.changes = [*self.applied.changes, *changes]

    def _count(self, upsert: str, parameters: Mapping[str, Any]) -> Written:
        return Written(*(self.connection.execute(upsert, {**self._parameters, **parameters}).fetchone() or ()))

    def _as_json(self, rows: Sequence[Encoded]) -> str | None:
        """The rows as objects by column. None where a number has more digits than JSON's writer takes."""
        names = ("external_id", *self.sql.table.names, "row_hash")
        ids = self._ids(rows)
        values = ((key, *self._values(key, ids), number) for key, _, number in rows)
        try:
            return orjson.dumps([dict(zip(names, row, strict=True)) for row in values]).decode()
        except orjson.JSONEncodeError:
            return None

    def _copy(
        self, statement: str, rows: Sequence[Encoded], end: bytes, before_wait: Callable[[], None] = lambda: None
    ) -> None:
        if self.sql.table.references:
            ids, table = self._ids(rows), self.sql.table
            rows = [(key, encode_line(table, key, self._values(key, ids)), number) for key, _, number in rows]
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for first in range(0, len(rows), PIECE):
                piece = rows[first : first + PIECE]
                copy.write(b"".join([b"%b,%d%b" % (line, number, end) for _, line, number in piece]))
            before_wait()

    def _ids(self, rows: Sequence[Encoded]) -> dict[str, dict[str, int]]:
        return resolve(self.connection, self.context, self.sql.table, [self.rows[key][0] for key, _, _ in rows])

    def _values(self, key: str, ids: Mapping[str, Mapping[str, int]]) -> tuple[Any, ...]:
        """With the ids of the rows it refers to in place of their keys. The hash stays that of the keys."""
        table, row = self.sql.table, self.rows[key][0]
        if not table.references:
            return row.values
        values = list(row.values)
        for reference in table.references:
            position = table.names.index(reference.column)
            found = ids[reference.column].get(values[position])
            values[position] = None if found is None else str(found)
        return tuple(values)

    def _compare(self) -> list[Change]:
        parameters = {"organization": self.context.organization_id}
        changes = []
        for key, exists, differs, removed, *states in self.connection.execute(self.sql.compare, parameters).fetchall():
            if not exists or differs:
                operation = "deleted" if removed else "updated" if exists else "created"
                changes.append(self._change(key, operation, states[0] if exists else None, states[1]))
        return changes

    def _change(self, key: str, operation: str, before: Json, after: Json) -> Change:
        if before is None:
            return Change(key, operation, None, after if self.context.dry_run else None)
        differing = compare(before, after, self.sql.table.lists)
        return Change(
            key, operation, {one.field: one.old for one in differing}, {one.field: one.new for one in differing}
        )

    @property
    def _parameters(self) -> dict[str, Any]:
        context = self.context
        return {
            "organization": context.organization_id,
            "mock": context.mock,
            "keep_newer": context.keep_newer,
        }


def _reason(error: psycopg.Error) -> str:
    """Why PostgreSQL refused a row, without the names of what is within it."""
    match error:
        case psycopg.errors.UniqueViolation():
            return "another row of the table has the same key"
        case psycopg.IntegrityError():
            return "it breaks a rule of its table"
    return (error.diag.message_primary or "PostgreSQL refused it").replace("\x00", "")
