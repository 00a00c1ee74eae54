"""The keys that a run's reads have brought, kept with their batches: what none of them brought has vanished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from syncapp.merge.encode import array_text
from syncapp.ports import WriteContext
from syncapp.records import Batch

BROUGHT = "SELECT DISTINCT unnest(keys) FROM run_keys WHERE sync_id = %(sync_id)s AND stream = %(stream)s"
COUNT = f"SELECT count(*) FROM ({BROUGHT}) k"
UNSEEN = """
SELECT key FROM unnest(%(keys)s::text[]) AS key EXCEPT
SELECT unnest(keys) FROM run_keys
WHERE sync_id = %(sync_id)s AND stream = %(stream)s AND number BETWEEN %(first)s AND %(last)s"""
NEIGHBOURS = 2

Connection = psycopg.Connection[Any]


def batch_keys(batch: Batch) -> list[str]:
    """A record that failed is there all the same. No row has a key that PostgreSQL cannot hold."""
    failed = [failure.key for failure in batch.failures if failure.key]
    return [key for key in (*batch.rows, *failed) if "\x00" not in key]


def keep_unseen(connection: Connection, context: WriteContext, batch: Batch, near: int) -> Batch:
    """Of a batch of the second look what the first look did not bring.

    Nearly all stand where they stood, in the batch `near` or beside it: all the others' keys are looked through for the
    rest alone.
    """
    keys: Sequence[str] = batch_keys(batch)
    for first, last in ((near - NEIGHBOURS, near + NEIGHBOURS), (0, context.number)):
        where = {"sync_id": context.sync_id, "stream": context.stream, "first": first, "last": last}
        if keys:
            keys = [key for (key,) in connection.execute(UNSEEN, where | {"keys": array_text(keys)})]
    unseen = set(keys)
    return Batch(
        {key: one for key, one in batch.rows.items() if key in unseen},
        [failure for failure in batch.failures if failure.key is None or failure.key in unseen],
    )


def count_keys(connection: Connection, context: WriteContext) -> int:
    """Batches overlap where records moved from page to page: what each of them held does not add up."""
    return int((connection.execute(COUNT, _stream(context)).fetchone() or (0,))[0])


def read_keys(connection: Connection, context: WriteContext) -> Iterator[str]:
    """For destinations whose rows PostgreSQL cannot compare with what was brought."""
    return (key for (key,) in connection.execute(BROUGHT, _stream(context)))


def _stream(context: WriteContext) -> dict[str, str]:
    return {"sync_id": context.sync_id, "stream": context.stream}
