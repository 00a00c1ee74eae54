"""Rows that other rows refer to: found by key, created where they are not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from syncapp.errors import InvalidRecord
from syncapp.merge.encode import encode_line
from syncapp.merge.statements import Statements
from syncapp.merge.table import Reference, Table
from syncapp.ports import WriteContext
from syncapp.records import Row

Connection = psycopg.Connection[Any]


def resolve(
    connection: Connection, context: WriteContext, table: Table, rows: Sequence[Row]
) -> dict[str, dict[str, int]]:
    """Ids by key, for each reference's column. A dry run creates nothing: keys without a row are left out."""
    return {
        reference.column: _resolve(connection, context, reference, table.names.index(reference.column), rows)
        for reference in table.references
    }


def _resolve(
    connection: Connection, context: WriteContext, reference: Reference, position: int, rows: Sequence[Row]
) -> dict[str, int]:
    sql = Statements(reference.table)
    if not context.dry_run:
        carried = {row.related[reference.column].key: row.related[reference.column] for row in rows if row.related}
        if carried:
            _enrich(connection, context, reference.table, sql, list(carried.values()))
    keys = sorted({row.values[position] for row in rows if row.values[position] is not None})
    ids = _find(connection, context, sql, keys)
    if not context.dry_run and (absent := [key for key in keys if key not in ids]):
        parameters = {"organization": context.organization_id, "mock": context.mock, "keys": absent}
        connection.execute(sql.create_pending, parameters)
        ids |= _find(connection, context, sql, absent)
    return ids


def _find(connection: Connection, context: WriteContext, sql: Statements, keys: list[str]) -> dict[str, int]:
    found = connection.execute(sql.find_ids, {"organization": context.organization_id, "keys": keys})
    return dict(found.fetchall())


def _enrich(
    connection: Connection, context: WriteContext, table: Table, sql: Statements, carried: Sequence[Row]
) -> None:
    """Writes what records carried of the rows they refer to. A row that cannot be written stays known by its key."""
    lines = []
    for row in carried:
        try:
            lines.append(b"%b,0\n" % encode_line(table, row.key, row.values))
        except InvalidRecord:
            continue
    connection.execute(sql.create_staging)
    connection.execute(sql.empty_staging)
    with connection.cursor() as cursor, cursor.copy(sql.copy) as copy:
        copy.write(b"".join(lines))
    connection.execute(sql.enrich, {"organization": context.organization_id, "mock": context.mock})
