"""The tasks. Their arguments are ids alone; what they do is in `syncapp`.

Only PostgreSQL being away is retried here: without it a run cannot even be told to wait.
"""

from __future__ import annotations

from typing import Any

from celery import shared_task

from syncapp.commands.control import leave_to_sweep
from syncapp.commands.fire import fire
from syncapp.engine import execute
from syncapp.errors import DatabaseUnavailable
from workers.dispatch import RUN_TASK, TICK_TASK
from workers.process import process
from workers.stopping import STOP

WHILE_POSTGRES_IS_AWAY: dict[str, Any] = {
    "autoretry_for": (DatabaseUnavailable,),
    "retry_backoff": 1,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": 8,
}


@shared_task(name=RUN_TASK, **WHILE_POSTGRES_IS_AWAY)  # type: ignore[untyped-decorator]
def run(sync_id: str) -> str:
    """Works on a run; the outcome, for Flower to show."""
    STOP.begin_task()
    return execute(sync_id, process().runtime)


@shared_task(name=TICK_TASK, **WHILE_POSTGRES_IS_AWAY)  # type: ignore[untyped-decorator]
def tick(name: str) -> list[str]:
    """Starts what the schedule `name` is due to start; the runs' ids."""
    mine = process()
    started = fire(mine.database, mine.settings, mine.runtime.clock, name)
    for triggered in started:
        if not mine.dispatcher.dispatch(triggered.sync_id, triggered.queue):
            leave_to_sweep(mine.database, triggered.sync_id)
    return [triggered.sync_id for triggered in started]
