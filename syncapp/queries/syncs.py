"""Every sync of the product, how it is and how fresh; and the schedules."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.cron import longest_gap
from syncapp.db import Database
from syncapp.definition import Sync, first_schedule
from syncapp.models import Credential, Schedule
from syncapp.queries.health import Facts, level_of
from syncapp.queries.history import History, read_history
from syncapp.records import HealthLevel
from syncapp.registry import SYNCS, find_sync
from syncapp.scope import EVERYONE, Scope
from syncapp.turns import turn_of


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
        rows = read_schedules(session)
        stored = read_credentials(session)
        return [
            _view(
                session,
                sync,
                settings,
                scope,
                credential=stored.get(sync.provider or ""),
                history=histories[sync.name],
                row=rows.get(sync.name),
                now=now,
            )
            for sync in SYNCS
        ]


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


def read_credentials(session: Session) -> dict[str, Credential]:
    """Those of the session's one organization, by provider."""
    return {row.provider: row for row in session.scalars(select(Credential))}


def is_configured(sync: Sync, settings: Settings, stored: Container[str] | None = None) -> bool:
    """Whether the environment is complete for it and, where `stored` is given, the organization has its credentials."""
    has_key = stored is None or sync.provider is None or sync.provider in stored
    return has_key and not list(sync.missing(settings))


def view_schedule(sync: Sync, row: Schedule | None, settings: Settings) -> ScheduleView:
    if row is None:
        first = first_schedule(sync.every, settings)
        interval = first.interval.total_seconds() if first.interval else None
        return ScheduleView(sync.name, first.cron, interval, "UTC", first.enabled, None, None, sync.queue)
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


def longest_wait(schedule: ScheduleView, now: datetime) -> timedelta:
    """From one run to the next, at most."""
    return longest_gap(schedule.cron, now) if schedule.cron else timedelta(seconds=schedule.interval or 86_400)


def health_of(
    schedule: ScheduleView, history: History, begin: datetime, now: datetime, *, refused: bool = False
) -> HealthLevel:
    """`begin` is since when a success could be expected; `refused` that the source took our credentials last time."""
    if refused and schedule.enabled:
        return HealthLevel.UNHEALTHY
    facts = Facts(
        enabled=schedule.enabled,
        interval=longest_wait(schedule, now),
        since=history.last_success_at or begin,
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
    found = [(sync, schedules.get(sync.name)) for sync in syncs if is_configured(sync, settings)]
    return [
        health_of(view_schedule(sync, row, settings), histories[sync.name], row.updated_at if row else now, now)
        for sync, row in found
    ]


def _view(
    session: Session,
    sync: Sync,
    settings: Settings,
    scope: Scope,
    *,
    credential: Credential | None,
    history: History,
    row: Schedule | None,
    now: datetime,
) -> SyncView:
    # Where there is one source for all, it is the default organization's.
    own = credential is not None if sync.provider else scope.organization_id == settings.default_organization_id
    configured = own and is_configured(sync, settings)
    schedule = view_schedule(sync, row, settings)
    if sync.provider is not None and row is not None:  # the row's own next run is somebody's, perhaps another one's
        schedule = replace(schedule, next_run_at=turn_of(session, sync, row, now, str(scope.organization_id)))
    begins = [found.updated_at for found in (row, credential) if found is not None]
    refused = credential is not None and not credential.valid
    return SyncView(
        name=sync.name,
        title=sync.title,
        queue=sync.queue,
        source=sync.source,
        destination=sync.destination,
        modes=sync.mode_names,
        configured=configured,
        schedule=schedule,
        health=health_of(schedule, history, max(begins, default=now), now, refused=refused) if configured else None,
        freshness=Freshness(history.last_success_at, history.last_complete_at, history.freshness_seconds(now)),
    )
