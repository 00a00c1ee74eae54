"""What a finished run leaves behind for the next one, and what that makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from config.settings import Settings
from syncapp.definition import Reads, Stream, Sync
from syncapp.engine.lease import Lease
from syncapp.engine.steps import Progress

STATE = """
SELECT s.cursor, s.last_complete_at, c.next_run_at, c.interval_seconds
FROM stream_states s LEFT JOIN schedules c ON c.name = s.sync AND c.enabled
WHERE s.sync = %s AND s.organization_id = %s AND s.stream = %s"""
KEEP = """
INSERT INTO stream_states AS s (sync, organization_id, stream, cursor, last_complete_at)
VALUES (%(sync)s, %(organization_id)s, %(stream)s, %(cursor)s, %(complete_at)s)
ON CONFLICT (sync, organization_id, stream) DO UPDATE SET
    cursor = CASE WHEN %(complete_at)s IS NULL THEN greatest(s.cursor, excluded.cursor)
                  ELSE coalesce(excluded.cursor, s.cursor) END,
    last_complete_at = coalesce(excluded.last_complete_at, s.last_complete_at)"""
SIZES = """
SELECT step ->> 'name', 1 + greatest((step ->> 'total')::float, (step ->> 'records_processed')::float) FROM (
    SELECT steps FROM sync_runs
    WHERE sync = %(sync)s AND organization_id = %(organization_id)s AND mode = %(mode)s
      AND status = 'completed' AND NOT dry_run AND replay_of IS NULL AND undo_of IS NULL
    ORDER BY created_at DESC LIMIT 1
) last, jsonb_array_elements(steps) step"""
FORGET = """
DELETE FROM run_keys USING sync_runs r
WHERE r.sync_id = run_keys.sync_id AND r.sync = %(sync)s AND r.organization_id = %(organization_id)s
  AND NOT (r.dry_run AND r.status IN ('starting', 'running'))"""


def read_sizes(connection: psycopg.Connection[Any], lease: Lease) -> dict[str, float]:
    """How many records the last run of the kind had in each stream, and one; nothing before there was one."""
    return dict(connection.execute(SIZES, lease.run).fetchall())


def choose_read(
    connection: psycopg.Connection[Any], lease: Lease, sync: Sync, stream: Stream, settings: Settings
) -> tuple[str | None, bool]:
    """What is read: what changed since a time, everything where that is None; and whether it counts as complete."""
    run = lease.run
    if run["since"] is not None:
        return _iso(run["since"]), False
    reads = sync.mode_of(run["mode"]).reads
    if reads is Reads.SELECTION:
        return None, False
    key = (run["sync"], run["organization_id"], stream.name)
    cursor, last_complete, next_run, every = connection.execute(STATE, key).fetchone() or [None] * 4
    taken, interval = lease.taken_at, timedelta(seconds=sync.full_refresh_seconds(settings))
    if sync.provider is not None and every is not None:  # the schedule's next run is another organization's
        next_run = taken + timedelta(seconds=every)
    # Due already where the next run would come too late for it, unless runs are rarer than that anyway.
    latest = next_run if next_run is not None and taken < next_run < taken + interval else taken
    due = last_complete is None or latest - last_complete > interval
    if reads is Reads.EVERYTHING or run["full_refresh"] or due or cursor is None or not stream.incremental:
        return None, True
    return _iso(datetime.fromisoformat(cursor) - timedelta(seconds=settings.cursor_overlap)), False


def keep_state(
    connection: psycopg.Connection[Any], lease: Lease, sync: Sync, streams: list[tuple[str, Progress]]
) -> None:
    """Moves the cursors on and forgets the keys, in the transaction that completes the run.

    A run that was told where to begin, or that read a selection, moves no cursor: between it and the last one there may
    be a gap. Nor does one that was sent fewer records than were named: the next one reads the same again.
    """
    run = lease.run
    key = {"sync": run["sync"], "organization_id": run["organization_id"]}
    partly = run["since"] is not None or sync.mode_of(run["mode"]).reads is Reads.SELECTION
    for stream, progress in streams:
        if not progress.done or progress.shortfall() or partly:
            continue
        values = {
            "stream": stream,
            "cursor": min(filter(None, (progress.cursor, progress.ceiling)), default=None) if progress.cursor else None,
            "complete_at": progress.read_started if progress.complete else None,
        }
        connection.execute(KEEP, key | values)
    connection.execute(FORGET, key)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
