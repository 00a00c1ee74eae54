"""Whose turn it is: the schedule of a sync for which each organization has a source of its own.

An organization's turns come once an interval, at an offset that its id alone decides: they are spread evenly over the
interval, and stay where they are over restarts. With a cron line all of them come at its time. All that is kept is when
an organization's last turn was taken: turns that were missed are made up for by one, and a new interval holds at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.cron import longest_gap
from syncapp.definition import Sync
from syncapp.models import Schedule

MOST_AT_ONCE = 500

# The active organizations whose credentials are good, each with its latest turn and when it last took one: at first,
# when its credentials were stored. `latest` is the cron line's turn.
TURNS = """
WITH turns AS (
    SELECT c.organization_id, coalesce(s.last_run_at, c.updated_at) AS last_run_at,
        coalesce(CAST(:latest AS timestamptz), to_timestamp(
            floor((:now - shift.seconds) / :interval) * :interval + shift.seconds)) AS turn
    FROM credentials c JOIN organizations o ON o.id = c.organization_id AND o.active
    LEFT JOIN organization_schedules s ON s.organization_id = c.organization_id AND s.name = :name, LATERAL (
        SELECT ('x' || substr(md5(:name || ':' || c.organization_id), 1, 8))::bit(32)::bigint / 4294967296.0
            * CAST(:interval AS float) AS seconds) shift
    WHERE c.provider = :provider AND c.valid
)"""
TAKE = text(f"""{TURNS}
INSERT INTO organization_schedules (name, organization_id, last_run_at)
SELECT :name, organization_id, to_timestamp(:now) FROM turns
WHERE last_run_at < turn AND turn <= to_timestamp(:now) ORDER BY turn LIMIT :most
ON CONFLICT (name, organization_id) DO UPDATE SET last_run_at = excluded.last_run_at RETURNING organization_id""")
NEXT = text(f"""{TURNS}
SELECT min(CASE WHEN last_run_at < turn THEN turn ELSE turn + make_interval(secs => :interval) END)
FROM turns WHERE CAST(:only AS text) IS NULL OR organization_id = :only""")
COMPLETE = text("""
SELECT organization_id FROM stream_states
WHERE sync = :sync AND organization_id = ANY(:organizations) AND stream = ANY(:streams) AND last_complete_at > :since
GROUP BY organization_id HAVING count(*) = :count""")


def take_turns(session: Session, sync: Sync, row: Schedule, now: datetime) -> list[str]:
    """The organizations whose turn has come and was not taken, at most so many; theirs are taken with this.

    The schedule's row is locked: nobody else takes turns meanwhile.
    """
    return list(session.scalars(TAKE, _values(sync, row, now) | {"most": MOST_AT_ONCE}))


def next_turn(session: Session, sync: Sync, row: Schedule, now: datetime, only: str | None = None) -> datetime | None:
    """When the next turn comes, of all or of one organization; None where no organization has one.

    One that is due is in the past. With a cron line this only tells whether there is one.
    """
    values = _values(sync, row, now)
    found: datetime | None = session.scalar(NEXT, values | {"only": only})
    return found


def turn_of(session: Session, sync: Sync, row: Schedule, now: datetime, organization_id: str) -> datetime | None:
    """When an organization's next run comes by itself; None where none does. One that is due comes with the tick."""
    turn = next_turn(session, sync, row, now, organization_id) if row.enabled else None
    if turn is None or row.next_run_at is None:
        return None
    return row.next_run_at if row.cron else max(turn, row.next_run_at)


def due_modes(
    session: Session, sync: Sync, settings: Settings, organizations: Sequence[str], row: Schedule, now: datetime
) -> dict[str, str]:
    """What a scheduled run of each organization reads: a complete read before it would come too late."""
    if sync.due_mode is None:
        return dict.fromkeys(organizations, sync.default_mode)
    streams = sync.mode_of(sync.due_mode).streams
    interval = longest_gap(row.cron, now) if row.cron else timedelta(seconds=row.interval_seconds or 0)
    values = {
        "sync": sync.name,
        "organizations": list(organizations),
        "streams": list(streams),
        "count": len(streams),
        "since": now + interval - timedelta(seconds=sync.full_refresh_seconds(settings)),
    }
    complete = set(session.scalars(COMPLETE, values))
    return {one: sync.default_mode if one in complete else sync.due_mode for one in organizations}


def _values(sync: Sync, row: Schedule, now: datetime) -> dict[str, Any]:
    return {
        "name": sync.name,
        "provider": sync.provider,
        "now": now.timestamp(),
        "interval": row.interval_seconds or 1.0,  # which a cron line has none of
        "latest": row.next_run_at if row.interval_seconds is None else None,
    }
