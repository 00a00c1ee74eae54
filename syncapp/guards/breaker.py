"""The circuit breaker, in PostgreSQL, so that all workers see the same one.

closed     runs go on; each that fails because its source cannot be reached counts
open       after SYNC_MAX_CONSECUTIVE_FAILURES of them in a row, for a minute, then two, four … an hour at most:
           nothing is started, unless by force
half-open  when that time is over the next run is the trial; there is only one, since a sync has one live run
"""

from __future__ import annotations

from typing import Any

import psycopg

FAILED = """
INSERT INTO circuits AS c (sync, organization_id, failures, open_until)
VALUES (%(sync)s, %(organization)s, 1, CASE WHEN %(limit)s <= 1 THEN now() + interval '1 minute' END)
ON CONFLICT (sync, organization_id) DO UPDATE SET failures = c.failures + 1,
    open_until = CASE WHEN c.failures + 1 >= %(limit)s
        THEN now() + least(interval '1 hour', interval '1 minute' * 2 ^ least(c.failures + 1 - %(limit)s, 10)) END"""
REACHED = "DELETE FROM circuits WHERE sync = %(sync)s AND organization_id = %(organization)s"


def note_unreachable(connection: psycopg.Connection[Any], sync: str, organization_id: str, limit: int) -> None:
    """Counts a failure; opens the circuit, or opens it for longer, from `limit` of them on."""
    connection.execute(FAILED, {"sync": sync, "organization": organization_id, "limit": limit})


def note_reached(connection: psycopg.Connection[Any], sync: str, organization_id: str) -> None:
    """Closes the circuit."""
    connection.execute(REACHED, {"sync": sync, "organization": organization_id})
