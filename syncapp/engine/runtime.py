"""What a process hands to the engine."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from config.settings import Settings
from syncapp.db import Database
from syncapp.definition import Sync
from syncapp.guards.rate_limit import Unlimited
from syncapp.ports import Clock, RateLimit


def collect_garbage_rarely() -> None:
    """For a process that runs syncs: batches of records are no cycles, and looking for some in them costs a tenth."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


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
    """

    settings: Settings
    database: Database
    find_sync: Callable[[str], Sync]
    owner: str
    clock: Clock = utc_now
    rate_limit: RateLimit = field(default_factory=Unlimited)
    stop: Callable[[], bool] = never
