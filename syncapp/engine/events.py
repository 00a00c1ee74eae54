"""The numbered events of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, text

from syncapp.records import Json

ADD = """
WITH numbered AS (
    UPDATE sync_runs SET event_seq = event_seq + 1 WHERE sync_id = {sync_id} RETURNING event_seq
)
INSERT INTO run_events (sync_id, seq, kind, data) SELECT {sync_id}, event_seq, {kind}, {data} FROM numbered
"""
ADD_RAW = ADD.format(sync_id="%(sync_id)s", kind="%(kind)s", data="%(data)s::jsonb")
ADD_SQLALCHEMY = text(ADD.format(sync_id=":sync_id", kind=":kind", data="CAST(:data AS jsonb)"))


def add_event(
    connection: psycopg.Connection[Any] | Connection, sync_id: str, kind: str, data: Mapping[str, Json]
) -> None:
    """Adds the run's next event in the caller's transaction. The run's row is locked until that ends: no gaps."""
    values = {"sync_id": sync_id, "kind": kind, "data": orjson.dumps(data).decode()}
    if isinstance(connection, Connection):
        connection.execute(ADD_SQLALCHEMY, values)
    else:
        connection.execute(ADD_RAW, values)
