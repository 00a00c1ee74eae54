"""How the properties' sync stands: whether it runs by itself, how its last run ended, whether it is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.db import Database
from syncapp.models import Run, Schedule
from syncapp.queries.history import COUNTS, JUDGED, History, read_history
from syncapp.queries.readiness import is_ticking
from syncapp.queries.syncs import ScheduleView, health_of, is_configured, longest_wait, view_schedule
from syncapp.records import ENDED, UNFINISHED, HealthLevel
from syncapp.scope import Scope
from syncapp.sync_settings import show_interval
from syncapp.syncs.properties import PROPERTIES
from syncapp.times import show_duration

LATE = timedelta(minutes=5)
LATE_SHARE = 0.1  # of the interval: a run may take longer than the one before
NEWEST = (Run.created_at.desc(), Run.id.desc())


@dataclass(frozen=True, slots=True)
class PropertiesStatus:
    """`is_running`: the schedule is on and a scheduler has ticked lately. `last_sync` is the last success.

    The counts are those of the last run that ended, however it did; 0 before there was one. `last_error` is why the
    last one failed, None once one has completed. `sync_id` is the run in flight, where `sync_in_progress`.
    """

    is_running: bool
    last_sync: datetime | None
    next_sync: datetime | None
    total_properties: int
    updated_properties: int
    failed_properties: int
    sync_interval: str
    last_error: str | None
    sync_in_progress: bool
    sync_id: str | None


@dataclass(frozen=True, slots=True)
class PropertiesHealth:
    """`is_healthy`: the sync runs by itself, is not overdue, and its runs fare well. Spans of time are in words."""

    status: HealthLevel
    is_running: bool
    is_healthy: bool
    is_overdue: bool
    last_sync_age: str | None
    next_sync_in: str | None
    sync_interval: str
    summary: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class _Facts:
    """`changed_at` is when the schedule was last changed, None of one that was never seeded. `counts` are those of the
    last run that ended: properties, updated ones, failed ones.
    """

    configured: bool
    ticking: bool
    schedule: ScheduleView
    changed_at: datetime | None
    history: History
    last_error: str | None
    counts: tuple[int, int, int]

    @property
    def is_running(self) -> bool:
        return self.configured and self.schedule.enabled and self.ticking

    @property
    def interval(self) -> str:
        return show_interval(self.schedule.cron, self.schedule.interval)


def properties_status(db: Database, scope: Scope, settings: Settings, now: datetime) -> PropertiesStatus:
    """Of the scope's organization, which is the one whose properties they are."""
    live = (Run.sync == PROPERTIES.name, Run.dry_run.is_(False), Run.status.in_(UNFINISHED))
    with db.session(scope) as session:
        facts = _read_facts(session, settings, now)
        running = session.scalar(select(Run.sync_id).where(*live))
    processed, updated, failed = facts.counts
    return PropertiesStatus(
        is_running=facts.is_running,
        last_sync=facts.history.last_success_at,
        next_sync=facts.schedule.next_run_at,
        total_properties=processed,
        updated_properties=updated,
        failed_properties=failed,
        sync_interval=facts.interval,
        last_error=facts.last_error,
        sync_in_progress=running is not None,
        sync_id=running,
    )


def properties_health(db: Database, scope: Scope, settings: Settings, now: datetime) -> PropertiesHealth:
    """As `properties_status`; where the sync is not configured it is `stopped`, and never overdue."""
    with db.session(scope) as session:
        facts = _read_facts(session, settings, now)
    level = HealthLevel.STOPPED
    if facts.configured:
        level = health_of(facts.schedule, facts.history, facts.changed_at or now, now)
    last, planned = facts.history.last_success_at, facts.schedule.next_run_at
    overdue = facts.configured and is_overdue(facts.schedule, facts.changed_at or now, last, now)
    return PropertiesHealth(
        status=level,
        is_running=facts.is_running,
        is_healthy=facts.is_running and level is HealthLevel.HEALTHY and not overdue,
        is_overdue=overdue,
        last_sync_age=None if last is None else show_span(now - last),
        next_sync_in=None if planned is None else show_span(planned - now),
        sync_interval=facts.interval,
        summary=_summary(facts, settings, now, overdue=overdue),
        checked_at=now,
    )


def is_overdue(schedule: ScheduleView, changed_at: datetime, last_success: datetime | None, now: datetime) -> bool:
    """Whether a run should have succeeded by now, and none did.

    The last success is older than the schedule lets it become, or nobody has taken the planned run. What was to come
    before the schedule was last changed (switched on, say) does not count, nor where nothing was ever due.
    """
    if not schedule.enabled:
        return False
    planned = schedule.next_run_at
    if planned is not None and now - planned > LATE:
        return True
    if last_success is None and schedule.last_run_at is None:
        return False
    gap = longest_wait(schedule, now)
    return now - max(changed_at, last_success or changed_at) > gap + max(LATE, gap * LATE_SHARE)


def show_span(span: timedelta) -> str:
    """`45s`, `2h30m`: whole minutes from one minute on."""
    seconds = span.total_seconds()
    return show_duration(seconds if seconds < 60 else round(seconds / 60) * 60)


def _read_facts(session: Session, settings: Settings, now: datetime) -> _Facts:
    counts = select(Run.records_processed, Run.records_created + Run.records_updated, Run.records_failed)
    last = counts.where(Run.sync == PROPERTIES.name, *COUNTS, Run.status.in_(ENDED)).order_by(*NEWEST).limit(1)
    judged = select(Run.error_message).where(Run.sync == PROPERTIES.name, *COUNTS, Run.status.in_(JUDGED))
    row = session.get(Schedule, PROPERTIES.name)
    return _Facts(
        configured=is_configured(PROPERTIES, settings),
        ticking=is_ticking(session),
        schedule=view_schedule(PROPERTIES, row, settings),
        changed_at=row.updated_at if row else None,
        history=read_history(session, [PROPERTIES.name], now)[PROPERTIES.name],
        last_error=session.scalar(judged.order_by(*NEWEST).limit(1)),
        counts=(*(session.execute(last).one_or_none() or (0, 0, 0)),),
    )


def _summary(facts: _Facts, settings: Settings, now: datetime, *, overdue: bool) -> str:
    """The first of what a person would want to know."""
    last, failures = facts.history.last_success_at, facts.history.failures
    if not facts.configured:
        return f"The sync is not configured: set {', '.join(PROPERTIES.missing(settings))}"
    if not facts.schedule.enabled:
        return "The schedule is switched off: nothing starts by itself"
    if not facts.ticking:
        return "No scheduler has ticked lately: nothing starts by itself"
    if failures:
        runs = "The last run" if failures == 1 else f"The last {failures} runs"
        return f"{runs} failed: {facts.last_error}"
    if overdue:
        since = "no run has completed yet" if last is None else f"the last success was {show_span(now - last)} ago"
        return f"The sync is overdue: {since}, and one is due every {facts.interval}"
    failed = facts.counts[2]
    if failed:
        return f"Sync service is running; {failed} propert{'y' if failed == 1 else 'ies'} failed in the last run"
    return "Sync service is running" + ("" if last else "; no run has completed yet")
