"""What one worker process works with: made after the fork, once a process."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass

from config.settings import Settings, settings
from syncapp.db import Database
from syncapp.engine.runtime import Runtime, tune_interpreter, utc_now
from syncapp.guards.rate_limit import RedisRateLimit
from syncapp.registry import find_sync
from workers.dispatch import CeleryDispatcher
from workers.stopping import STOP

# The same in a worker and all its children, another in the next worker: who may say that an owner of leases is dead.
INSTANCE = f"{socket.gethostname()}/{secrets.token_hex(4)}/"


@dataclass(frozen=True)
class Process:
    """The parts of one process. `runtime` is what the engine gets."""

    pid: int
    settings: Settings
    database: Database
    dispatcher: CeleryDispatcher
    runtime: Runtime


_current: Process | None = None


def process() -> Process:
    """This process's parts. A child makes its own, whatever its parent had: connections do not survive a fork."""
    global _current
    if _current is None or _current.pid != os.getpid():
        _current = _make(settings())
    return _current


def owner_is_alive(owner: str) -> bool:
    """Whether a process of this worker still runs; `owner` is INSTANCE and its pid."""
    try:
        os.kill(int(owner.removeprefix(INSTANCE)), 0)
    except (ProcessLookupError, PermissionError):  # nobody's pid, or another user's by now
        return False
    return True


def _make(given: Settings) -> Process:
    tune_interpreter()
    database = Database(
        given.database, pool_size=3, application_name="syncapp-worker", longest_pause=given.lease_seconds
    )
    dispatcher = CeleryDispatcher(given)
    runtime = Runtime(
        settings=given,
        database=database,
        find_sync=find_sync,
        owner=f"{INSTANCE}{os.getpid()}",
        clock=utc_now,
        rate_limit=RedisRateLimit(given.broker),
        stop=STOP.is_set,
        gives_way=lambda: dispatcher.queue_lengths(("sync",)) is not None,  # else nobody could be sent what it leaves
    )
    return Process(os.getpid(), given, database, dispatcher, runtime)
