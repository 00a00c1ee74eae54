"""The one way in which a run ends, whoever ends it."""

from __future__ import annotations

from typing import Any

import psycopg

from syncapp.engine.events import add_event
from syncapp.errors import SyncError

HELD = "lease_token = %(token)s AND status = 'running'"
UNHELD = "status IN ('starting', 'running') AND (lease_expires_at IS NULL OR lease_expires_at <= now())"
END = """
UPDATE sync_runs SET status = %(status)s, completed_at = now(), resume_at = NULL, current_operation = NULL,
    lease_owner = NULL, lease_expires_at = NULL, error_type = %(error_type)s, error_code = %(error_code)s,
    error_message = %(error_message)s, retry_after = %(retry_after)s,
    steps = coalesce((SELECT jsonb_agg(
        CASE step ->> 'status' WHEN 'running' THEN step || jsonb_build_object('status', %(status)s::text) ELSE step END)
        FROM jsonb_array_elements(steps) step), '[]')
WHERE sync_id = %(sync_id)s AND """


class Cancellation(SyncError):
    """Why a cancelled run ended."""

    error_type = "cancelled"
    default_code = "CANCELLED"


def cancellation() -> Cancellation:
    return Cancellation("The run was cancelled")


def end_held_run(
    connection: psycopg.Connection[Any], sync_id: str, token: int, status: str, error: SyncError | None = None
) -> bool:
    """Ends a run for the worker that holds it; False where it does not hold it any more."""
    return _end(connection, HELD, sync_id, status, error, token=token)


def end_unheld_run(connection: psycopg.Connection[Any], sync_id: str, status: str, error: SyncError) -> bool:
    """Ends a run that no worker holds; False where one does, or it has ended."""
    return _end(connection, UNHELD, sync_id, status, error)


def error_facts(error: SyncError | None) -> dict[str, Any]:
    """What a run keeps of an error, by column."""
    if error is None:
        return dict.fromkeys(("error_type", "error_code", "error_message", "retry_after"))
    return {
        "error_type": error.error_type,
        "error_code": error.error_code,
        "error_message": error.message,
        "retry_after": getattr(error, "retry_after", None),
    }


def _end(
    connection: psycopg.Connection[Any], guard: str, sync_id: str, status: str, error: SyncError | None, **values: Any
) -> bool:
    facts = error_facts(error)
    if connection.execute(END + guard, {"sync_id": sync_id, "status": status} | facts | values).rowcount != 1:
        return False
    add_event(connection, sync_id, status, {name: value for name, value in facts.items() if value is not None})
    return True
