"""What a process hands to the engine."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from config.settings import Settings
from syncapp.db import Database
from syncapp.definition import Sync
from syncapp.guards.rate_limit import LocalRateLimit
from syncapp.ports import Clock, RateLimit

SWITCH_SECONDS = 0.0005


def tune_interpreter() -> None:
    """For a process that runs syncs. What it does was measured with `make bench`.

    Batches of records are no cycles, and looking for some in them costs a tenth. The thread that writes comes back from
    PostgreSQL a hundred times a second, and would wait for 5 ms each time until the one that reads is interrupted.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    sys.setswitchinterval(SWITCH_SECONDS)


def utc_now() -> datetime:
    return datetime.now(UTC)


def never() -> bool:
    return False


@dataclass(frozen=True)
class Runtime:
    """One per process.

    find_sync  the registry's look-up; raises NotFound
    stop       becomes true when the process has been asked to end: the run in hand is released at the next page
    owner      names the process in leases and logs
    gives_way  whether a run whose slice is over is given back where others wait: only where somebody sends it again
    rate_limit of sources with a pace; where none is given, this process alone keeps it
    """

    settings: Settings
    database: Database
    find_sync: Callable[[str], Sync]
    owner: str
    clock: Clock = utc_now
    rate_limit: RateLimit = field(default_factory=LocalRateLimit)
    stop: Callable[[], bool] = never
    gives_way: Callable[[], bool] = never
