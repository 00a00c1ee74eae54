"""Rows on their way into their table: new ones straight, changed ones through a temporary table and an upsert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from syncapp.errors import InvalidRecord
from syncapp.merge.encode import Encoded, encode_line
from syncapp.merge.references import resolve
from syncapp.merge.statements import Statements
from syncapp.ports import WriteContext
from syncapp.records import Applied, Change, Failure

Connection = psycopg.Connection[Any]
FEW = 100
REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the rows of one batch that differ, in the caller's transaction. What becomes of them goes to `applied`."""

    sql: Statements
    connection: Connection
    context: WriteContext
    applied: Applied

    def write(self, changed: Sequence[Encoded], known: Mapping[str, int | None]) -> tuple[int, int]:
        """Created and updated rows. `known` has the keys of the rows that are there."""
        if self.context.dry_run or self.context.record_changes:
            return self._merge(changed)
        new = sorted([row for row in changed if row.row.key not in known], key=_key)
        old = [row for row in changed if row.row.key in known] if len(new) < len(changed) else []
        created, updated = self._insert(new) if new else (0, 0)
        more = self._merge(old)
        return created + more[0], updated + more[1]

    def _insert(self, rows: Sequence[Encoded]) -> tuple[int, int]:
        """Straight into the table, for half the price. Where one of them is refused, or somebody else has written it in
        the meantime, all go the long way. They come in the order of their keys, as there."""
        try:
            with self.connection.transaction():
                tail = self.connection.execute(self.sql.common_values, self._parameters).fetchone()
                common = '","'.join(tail or ())
                self._copy(self.sql.copy_new, rows, f',"{common}"\n'.encode())
        except REFUSED:
            return self._merge(rows)
        return len(rows), 0

    def _merge(self, rows: Sequence[Encoded]) -> tuple[int, int]:
        """What PostgreSQL refuses is halved until the bad record stands alone."""
        if not rows:
            return 0, 0
        try:
            with self.connection.transaction():
                return self._upsert(rows)
        except REFUSED as error:
            if len(rows) == 1:
                reason = (error.diag.message_primary or "PostgreSQL refused it").replace("\x00", "")
                failure = Failure(rows[0].row.key, InvalidRecord.error_type, reason, rows[0].record)
                self.applied.failures.append(failure)
                return 0, 0
        half = len(rows) // 2
        first, second = self._merge(rows[:half]), self._merge(rows[half:])
        return first[0] + second[0], first[1] + second[1]

    def _upsert(self, rows: Sequence[Encoded]) -> tuple[int, int]:
        compared = self.context.dry_run or self.context.record_changes
        few = self._as_json(rows) if len(rows) <= FEW and not compared else None
        if few is not None:
            return self._count(self.sql.upsert_few, {"rows": few})
        with self.connection.pipeline():
            self.connection.execute(self.sql.create_staging)
            self.connection.execute(self.sql.empty_staging)  # of what another half of the batch left
        self._copy(self.sql.copy, rows, b"\n")
        if compared:
            changes = self._compare()
            self.applied.changes.extend(changes)
            if self.context.dry_run:
                created = sum(change.operation == "created" for change in changes)
                return created, len(changes) - created
        return self._count(self.sql.upsert, {})

    def _count(self, upsert: str, parameters: Mapping[str, Any]) -> tuple[int, int]:
        created, updated = self.connection.execute(upsert, {**self._parameters, **parameters}).fetchone() or (0, 0)
        return int(created), int(updated)

    def _as_json(self, rows: Sequence[Encoded]) -> str | None:
        """The rows as objects by column. None where a number has more digits than JSON's writer takes."""
        names = ("external_id", *self.sql.table.names, "row_hash")
        ids = self._ids(rows)
        values = ((one.row.key, *self._values(one, ids), one.hash) for one in rows)
        try:
            return orjson.dumps([dict(zip(names, row, strict=True)) for row in values]).decode()
        except orjson.JSONEncodeError:
            return None

    def _copy(self, statement: str, rows: Sequence[Encoded], end: bytes) -> None:
        if self.sql.table.references:
            rows = self._with_ids(rows)
        text = end.join([b"%b,%d" % (encoded.line, encoded.hash) for encoded in rows]) + end
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(text)

    def _with_ids(self, rows: Sequence[Encoded]) -> list[Encoded]:
        ids, table = self._ids(rows), self.sql.table
        return [one._replace(line=encode_line(table, one.row.key, self._values(one, ids))) for one in rows]

    def _ids(self, rows: Sequence[Encoded]) -> dict[str, dict[str, int]]:
        return resolve(self.connection, self.context, self.sql.table, [encoded.row for encoded in rows])

    def _values(self, encoded: Encoded, ids: Mapping[str, Mapping[str, int]]) -> tuple[Any, ...]:
        """With the ids of the rows it refers to in place of their keys. The hash stays that of the keys."""
        table = self.sql.table
        if not table.references:
            return encoded.row.values
        values = list(encoded.row.values)
        for reference in table.references:
            position = table.names.index(reference.column)
            found = ids[reference.column].get(values[position])
            values[position] = None if found is None else str(found)
        return tuple(values)

    def _compare(self) -> list[Change]:
        parameters = {"organization": self.context.organization_id}
        changes = []
        for key, exists, differs, before, after in self.connection.execute(self.sql.compare, parameters).fetchall():
            if not exists:
                changes.append(Change(key, "created", None, after))
            elif differs:
                changes.append(Change(key, "updated", before, after))
        return changes

    @property
    def _parameters(self) -> dict[str, Any]:
        context = self.context
        return {
            "organization": context.organization_id,
            "mock": context.mock,
            "keep_newer": context.keep_newer,
        }


def _key(encoded: Encoded) -> str:
    return encoded.row.key
