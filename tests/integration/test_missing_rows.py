"""What a complete read did not bring, in tables that nobody has analyzed yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from syncapp.merge.destination import TableDestination
from syncapp.merge.statements import Statements
from syncapp.ports import WriteContext
from syncapp.syncs.wellness import CLIENT_TABLE

RUN = """
INSERT INTO sync_runs (sync_id, sync, organization_id, mode, trigger)
VALUES ('s', 'clients', 'default', 'default', 'manual')"""
ROWS = """
INSERT INTO clients (organization_id, external_id, sync_status, last_synced_at)
SELECT 'default', 'c-' || n, %s, %s FROM generate_series(%s::int, %s::int) n"""
KEYS = """
INSERT INTO run_keys (sync_id, stream, number, keys)
SELECT 's', 'clients', n / 100, array_agg('c-' || n) FROM generate_series(1, %s::int) n GROUP BY n / 100"""
BEFORE, STARTED, AFTER = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
CONTEXT = WriteContext("s", "default", "clients", number=1, read_started=STARTED)


def fill(connection: psycopg.Connection[Any], *, read: int) -> None:
    """1,000 rows of which the read brought the first `read`; others wrote 10 more meanwhile and know 5 by key alone."""
    connection.execute(RUN)
    connection.execute("ALTER TABLE clients SET (autovacuum_enabled = off)")
    connection.execute(ROWS, ("synced", BEFORE, 1, 1_000))
    connection.execute(ROWS, ("synced", AFTER, 1_001, 1_010))
    connection.execute(ROWS, ("pending", None, 1_011, 1_015))
    connection.execute(KEYS, (read,))


def test_only_rows_that_the_read_did_not_bring_are_missing(database_dsn: str) -> None:
    with psycopg.connect(database_dsn) as connection:
        fill(connection, read=997)
        destination = TableDestination(CLIENT_TABLE)
        assert destination.count_missing(connection, CONTEXT) == (3, 1_000)
        assert destination.delete_missing(connection, CONTEXT).counts.deleted == 3
        gone = connection.execute("SELECT external_id FROM clients WHERE deleted_at IS NOT NULL ORDER BY id").fetchall()
        assert gone == [("c-998",), ("c-999",), ("c-1000",)]
        assert destination.count_missing(connection, CONTEXT) == (0, 0)


def test_rows_that_others_wrote_and_the_read_brought_are_live(database_dsn: str) -> None:
    with psycopg.connect(database_dsn) as connection:
        fill(connection, read=1_005)
        connection.execute(ROWS, ("synced", BEFORE, 2_001, 2_001))
        assert TableDestination(CLIENT_TABLE).count_missing(connection, CONTEXT) == (1, 1_006)


def test_the_planner_never_compares_every_row_with_every_key(database_dsn: str) -> None:
    """100,000 rows without statistics took five minutes that way."""
    with psycopg.connect(database_dsn) as connection:
        fill(connection, read=1_000)
        sql = Statements(CLIENT_TABLE)
        parameters = {"organization": "default", "sync_id": "s", "stream": "clients", "read_started": STARTED}
        connection.execute(sql.without_nested_loops)
        for statement in (sql.count_missing, sql.count_live, sql.list_missing(content=True), sql.delete_missing):
            plan = connection.execute(f"EXPLAIN {statement}", parameters).fetchall()
            assert "Nested Loop" not in str(plan)
