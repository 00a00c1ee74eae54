"""Sends what was committed and not taken, and ends what cannot go on. Knows no queue: that is the carrier's business.

What Redis lost, a killed API left unpublished or a killed worker dropped is found here again, from PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from psycopg.rows import dict_row

from config.settings import Settings
from syncapp.db import Database
from syncapp.engine.ending import UNHELD, cancellation, end_unheld_run
from syncapp.engine.line import WAITS, line_values
from syncapp.errors import NotFound, Stale
from syncapp.ports import Dispatcher
from syncapp.registry import SYNCS, find_sync

BATCH = 100
GRACE_SECONDS = 5  # a message that has left its queue needs this long, at most, to take its lease
LATE_SECONDS = 30  # where a queue has fewer messages than runs that wait for theirs, the oldest of these are lost
REPEAT_SECONDS = 600  # a message this old may be lost whatever its queue holds

UNSENT = """
(dispatched_at IS NULL
    OR dispatched_at <= lease_expires_at
    OR dispatched_at < now() - make_interval(secs => %(repeat)s)
    OR (sync = ANY(%(idle)s) AND dispatched_at < now() - make_interval(secs => %(grace)s))) IS TRUE"""

# In rounds over the organizations. `place` counts an organization's runs, first those in workers' hands, then those
# that are on their way to some: past the cap they would be turned away.
DUE_RUNS = f"""
SELECT sync_id, sync FROM sync_runs JOIN (
    SELECT sync_id, row_number() OVER (
        PARTITION BY organization_id ORDER BY {UNHELD}, {UNSENT}, waiting_since, created_at) AS place
    FROM sync_runs WHERE {WAITS} OR status = 'running' AND lease_expires_at > now()
) line USING (sync_id)
WHERE {WAITS} AND {UNSENT} AND place <= %(most)s
ORDER BY place, waiting_since, created_at LIMIT %(batch)s FOR UPDATE OF sync_runs SKIP LOCKED"""

# As many as there are messages too few, and none that a worker may be about to take.
RECALL = f"""
UPDATE sync_runs SET dispatched_at = NULL WHERE sync_id IN (
    SELECT sync_id FROM sync_runs
    WHERE sync = ANY(%(syncs)s) AND {WAITS} AND dispatched_at < now() - make_interval(secs => %(late)s)
    ORDER BY dispatched_at LIMIT greatest(0, (
        SELECT count(dispatched_at) FROM sync_runs WHERE sync = ANY(%(syncs)s) AND {WAITS}) - %(messages)s)
    FOR UPDATE SKIP LOCKED)"""

DISPATCHED = "UPDATE sync_runs SET dispatched_at = now() WHERE sync_id = ANY(%(sent)s)"

ENDED_RUNS = f"""
SELECT sync_id, attempt, cancel_requested_at IS NOT NULL AS cancelled FROM sync_runs
WHERE {UNHELD} AND (cancel_requested_at IS NOT NULL
    OR attempt >= %(attempts)s AND (resume_at IS NULL OR resume_at <= now()))
ORDER BY created_at FOR UPDATE SKIP LOCKED"""

HELD_RUNS = """
SELECT sync_id, lease_owner FROM sync_runs
WHERE status = 'running' AND lease_expires_at > now() AND starts_with(lease_owner, %(prefix)s)"""

DROP_LEASE = """
UPDATE sync_runs SET lease_expires_at = now()
WHERE sync_id = %(sync_id)s AND lease_owner = %(lease_owner)s AND lease_expires_at > now()"""

# What PostgreSQL's idle_in_transaction_session_timeout does not see: a client that went silent in the middle of a COPY.
END_FROZEN = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND starts_with(application_name, 'syncapp')
  AND state = 'active' AND wait_event = 'ClientRead' AND state_change < now() - make_interval(secs => %(seconds)s)"""


class Carrier(Dispatcher, Protocol):
    """A dispatcher that can say how many messages the queues hold."""

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int] | None:
        """None where the broker cannot be asked."""


def sweep(db: Database, settings: Settings, carrier: Carrier) -> int:
    """Dispatches every run that is due, that no message stands for, and for which its organization has room; how many.

    Several processes may sweep at once: each run is sent by one of them. Raises DatabaseUnavailable.
    """
    queues = {sync.name: sync.queue for sync in SYNCS}
    lengths = carrier.queue_lengths(set(queues.values()))
    if lengths is None:
        return 0
    for queue, messages in lengths.items():
        _recall_lost(db, settings, [name for name, own in queues.items() if own == queue], messages)
    values = {
        "idle": [name for name, queue in queues.items() if not lengths[queue]],
        "batch": BATCH,
        "grace": GRACE_SECONDS,
        "repeat": REPEAT_SECONDS,
    } | line_values(settings)
    total = 0
    while sent := _sweep_batch(db, carrier, values):
        total += sent
        if sent < BATCH:
            break
    return total


def reap(db: Database, settings: Settings) -> int:
    """Ends the runs that nobody holds and nobody may take up again; how many.

    A run whose attempts were all lost with their workers fails as `stale`; one that was to be cancelled is cancelled.
    A run that is alive or waiting is never touched. Raises DatabaseUnavailable.
    """
    with db.connection() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        rows = cursor.execute(ENDED_RUNS, {"attempts": settings.worker_max_retries + 1}).fetchall()
        for row in rows:
            lost = Stale(f"The run lost its worker {row['attempt']} times and was given up")
            status, error = ("cancelled", cancellation()) if row["cancelled"] else ("failed", lost)
            end_unheld_run(connection, row["sync_id"], status, error)
        return len(rows)


def drop_dead_leases(db: Database, owner_prefix: str, is_alive: Callable[[str], bool]) -> int:
    """Ends the leases of owners that begin with `owner_prefix` and are not alive any more; how many.

    Only for whoever can tell: a worker about its own children. Their runs are due at once instead of when the lease
    would have expired. Raises DatabaseUnavailable.
    """
    with db.connection() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        held = cursor.execute(HELD_RUNS, {"prefix": owner_prefix}).fetchall()
        lost = [row for row in held if not is_alive(row["lease_owner"])]
        for row in lost:
            connection.execute(DROP_LEASE, row)
        return len(lost)


def end_frozen_writes(db: Database, seconds: float) -> int:
    """Ends the transactions of ours whose client began a COPY so long ago and sends nothing; how many.

    A process that is frozen there holds its run and rows, and nobody could go on with them. Raises DatabaseUnavailable.
    """
    with db.connection() as connection:
        return connection.execute(END_FROZEN, {"seconds": seconds}).rowcount


def _recall_lost(db: Database, settings: Settings, syncs: list[str], messages: int) -> None:
    """Counts runs as not sent whose messages must be lost. A run that is waited for in vain would hold others up."""
    values = {"syncs": syncs, "messages": messages, "late": LATE_SECONDS} | line_values(settings)
    with db.connection() as connection:
        connection.execute(RECALL, values)


def _sweep_batch(db: Database, carrier: Carrier, values: dict[str, Any]) -> int:
    with db.connection() as connection:
        rows = connection.execute(DUE_RUNS, values).fetchall()
        sent: list[str] = []
        for sync_id, sync in rows:
            if not carrier.dispatch(sync_id, _queue_of(sync)):
                break
            sent.append(sync_id)
        if sent:
            connection.execute(DISPATCHED, {"sent": sent})
        return len(sent)


def _queue_of(sync: str) -> str:
    """A sync that is no longer in the code goes to the usual queue, where the engine ends its run."""
    try:
        return find_sync(sync).queue
    except NotFound:
        return "sync"
