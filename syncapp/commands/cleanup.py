"""Cleaning up after lost workers now, instead of when the keeper comes round."""

from __future__ import annotations

from config.settings import Settings
from syncapp.audit import Actor, add_entry
from syncapp.db import Database
from syncapp.engine.ending import UNHELD
from syncapp.sweep import Carrier, reap, sweep

# A worker that is only late finds its token out of date.
LOST = f"""
UPDATE sync_runs SET lease_owner = NULL, lease_token = lease_token + 1, dispatched_at = NULL
WHERE {UNHELD} AND lease_owner IS NOT NULL"""


def clean_up(db: Database, settings: Settings, carrier: Carrier, actor: Actor) -> int:
    """Ends the runs that have used up their attempts, and sends those again whose worker was lost; how many in all.

    A run that is alive or waiting is not touched. What cannot be sent now, the next sweep sends. Raises
    DatabaseUnavailable.
    """
    ended = reap(db, settings)
    with db.connection() as connection:
        lost = connection.execute(LOST).rowcount
        add_entry(connection, actor, "runs.cleaned_up", details={"ended": ended, "resumed": lost})
    sweep(db, settings, carrier)
    return ended + lost
