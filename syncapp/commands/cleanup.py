"""Cleaning up after lost workers now, instead of when the keeper comes round."""

from __future__ import annotations

from config.settings import Settings
from syncapp.audit import Actor, add_entry
from syncapp.db import Database
from syncapp.engine.ending import UNHELD
from syncapp.ports import Dispatcher
from syncapp.registry import SYNCS
from syncapp.sweep import DISPATCHED, reap

LOST = f"""
UPDATE sync_runs SET lease_owner = NULL, lease_expires_at = NULL, dispatched_at = NULL
WHERE {UNHELD} AND lease_owner IS NOT NULL RETURNING sync_id, sync"""


def clean_up(db: Database, settings: Settings, dispatcher: Dispatcher, actor: Actor) -> int:
    """Ends the runs that have used up their attempts, and sends those again whose worker was lost; how many in all.

    A run that is alive or waiting is not touched. Raises DatabaseUnavailable.
    """
    ended = reap(db, settings)
    with db.connection() as connection:
        lost = connection.execute(LOST).fetchall()
        details = {"ended": ended, "resumed": len(lost)}
        add_entry(connection, actor, "runs.cleaned_up", details=details)
    queues = {sync.name: sync.queue for sync in SYNCS}
    sent = [sync_id for sync_id, sync in lost if dispatcher.dispatch(sync_id, queues.get(sync, "sync"))]
    with db.connection() as connection:
        connection.execute(DISPATCHED, {"sent": sent})  # what could not be sent now, the sweep sends
    return ended + len(lost)
