"""Every sync of the product, how it is and how fresh; and the schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.db import Database
from syncapp.definition import Sync
from syncapp.models import Schedule
from syncapp.queries.health import Facts, level_of, longest_gap
from syncapp.queries.history import History, read_history
from syncapp.records import HealthLevel
from syncapp.registry import SYNCS, find_sync
from syncapp.scope import EVERYONE, Scope


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """`interval` is in seconds; either that or `cron` is there."""

    name: str
    cron: str | None
    interval: float | None
    timezone: str
    enabled: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    queue: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the data is as a whole. `seconds` counts from the last success."""

    last_success_at: datetime | None
    last_complete_at: datetime | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class SyncView:
    """A sync for one organization. `health` is None where the sync is not configured."""

    name: str
    title: str
    queue: str
    source: str
    destination: str
    modes: list[str]
    configured: bool
    schedule: ScheduleView
    health: HealthLevel | None
    freshness: Freshness


def list_syncs(db: Database, scope: Scope, settings: Settings, now: datetime) -> list[SyncView]:
    """In the registry's order, as they are for the scope's organization."""
    with db.session(scope) as session:
        histories = read_history(session, [sync.name for sync in SYNCS], now)
        schedules = read_schedules(session)
    return [_view(sync, settings, histories[sync.name], schedules.get(sync.name), now) for sync in SYNCS]


def list_schedules(db: Database, settings: Settings) -> list[ScheduleView]:
    """Of every sync, in the registry's order; of those that were never scheduled, what they would have."""
    with db.session(EVERYONE) as session:
        found = read_schedules(session)
    return [view_schedule(sync, found.get(sync.name), settings) for sync in SYNCS]


def get_schedule(db: Database, settings: Settings, name: str) -> ScheduleView:
    """Raises NotFound."""
    sync = find_sync(name)
    with db.session(EVERYONE) as session:
        return view_schedule(sync, session.get(Schedule, name), settings)


def read_schedules(session: Session) -> dict[str, Schedule]:
    return {row.name: row for row in session.scalars(select(Schedule))}


def is_configured(sync: Sync, settings: Settings) -> bool:
    return not list(sync.missing(settings))


def view_schedule(sync: Sync, row: Schedule | None, settings: Settings) -> ScheduleView:
    if row is None:
        interval = sync.every.interval.total_seconds() if sync.every.interval else None
        return ScheduleView(sync.name, sync.every.cron, interval, "UTC", True, None, None, sync.queue)
    planned = row.next_run_at if row.enabled and is_configured(sync, settings) else None
    return ScheduleView(
        sync.name,
        row.cron,
        row.interval_seconds,
        row.timezone,
        row.enabled,
        planned,
        row.last_run_at,
        sync.queue,
    )


def health_of(sync: Sync, history: History, row: Schedule | None, now: datetime) -> HealthLevel:
    cron, seconds = (row.cron, row.interval_seconds) if row else (sync.every.cron, None)
    interval = longest_gap(cron, now) if cron else timedelta(seconds=seconds or 0) or sync.every.interval
    facts = Facts(
        enabled=row.enabled if row else True,
        interval=interval or timedelta(days=1),
        since=history.last_success_at or (row.updated_at if row else now),
        succeeded=history.last_success_at is not None,
        failures=history.failures,
        last_source=history.source,
    )
    return level_of(facts, now)


def health_levels(
    syncs: tuple[Sync, ...],
    settings: Settings,
    histories: Mapping[str, History],
    schedules: Mapping[str, Schedule],
    now: datetime,
) -> list[HealthLevel]:
    """One a sync that is configured; the others count in no health."""
    return [
        health_of(sync, histories[sync.name], schedules.get(sync.name), now)
        for sync in syncs
        if is_configured(sync, settings)
    ]


def _view(sync: Sync, settings: Settings, history: History, row: Schedule | None, now: datetime) -> SyncView:
    configured = is_configured(sync, settings)
    return SyncView(
        name=sync.name,
        title=sync.title,
        queue=sync.queue,
        source=sync.source,
        destination=sync.destination,
        modes=list(sync.modes) or [sync.default_mode],
        configured=configured,
        schedule=view_schedule(sync, row, settings),
        health=health_of(sync, history, row, now) if configured else None,
        freshness=Freshness(history.last_success_at, history.last_complete_at, history.freshness_seconds(now)),
    )
