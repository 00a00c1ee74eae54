"""When syncs run by themselves. The table `schedules` is the truth; beat only ticks.

A schedule's `next_run_at` is None where nothing is to happen: disabled, or the sync is not configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from config.values import parse_duration
from syncapp.audit import Actor, add_entry, differences
from syncapp.cron import next_run
from syncapp.db import Database, raw_connection
from syncapp.definition import Every, FirstSchedule, Sync, first_schedule
from syncapp.errors import NotFound, ValidationFailed
from syncapp.models import Schedule
from syncapp.ports import Clock
from syncapp.records import Json
from syncapp.registry import SYNCS, find_sync
from syncapp.scope import EVERYONE
from syncapp.sync_settings import seed_settings
from syncapp.times import show_duration
from syncapp.turns import next_turn

BETWEEN_TURNS = timedelta(seconds=60)  # at least, however many organizations there are
CRON_FIELDS = 5
ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def tick_after(row: Schedule, now: datetime) -> datetime:
    """The schedule's next run once the one at `next_run_at` is taken: on the schedule's own grid, whenever now is."""
    planned = row.next_run_at or now
    if row.interval_seconds is None:
        return next_run(row.cron, None, row.timezone, max(now, planned))
    missed = max(0, int((now - planned).total_seconds() // row.interval_seconds))
    return planned + timedelta(seconds=(missed + 1) * row.interval_seconds)


def align_schedules(
    db: Database, settings: Settings, clock: Clock, defaults: Mapping[str, FirstSchedule]
) -> list[Schedule]:
    """Adds the rows that are missing, and gives those a next run that should have one. The rows of `defaults`, by name.

    Rows that exist stand, whatever the code says. Settings that are missing are made as well. Raises
    DatabaseUnavailable.
    """
    with db.session(EVERYONE) as session:
        rows = {row.name: row for row in session.scalars(select(Schedule).where(Schedule.name.in_(defaults)))}
        for name in defaults.keys() - rows.keys():
            _seed(session, name, first_schedule(defaults[name], settings))
            rows[name] = session.get_one(Schedule, name)
        for row in rows.values():
            if _is_out_of_line(row, plan(session, row, settings, clock())):
                session.refresh(row, with_for_update=True)
                row.next_run_at = plan(session, row, settings, clock())
        for sync in (one for one in SYNCS if one.name in defaults and one.settings):
            seed_settings(raw_connection(session), settings, sync.name, sync.settings)
        return sorted(rows.values(), key=lambda row: row.name)


def change_schedule(
    db: Database,
    settings: Settings,
    clock: Clock,
    name: str,
    actor: Actor,
    *,
    cron: str | None = None,
    interval: str | float | None = None,
    enabled: bool | None = None,
    timezone: str | None = None,
) -> Schedule:
    """As `change_locked`, by itself. Raises NotFound too, and DatabaseUnavailable."""
    with db.session(EVERYONE) as session:
        row = lock_schedule(session, settings, name)
        change_locked(
            session, settings, clock, row, actor, cron=cron, interval=interval, enabled=enabled, timezone=timezone
        )
        return row


def lock_schedule(session: Session, settings: Settings, name: str) -> Schedule:
    """The schedule's row, made where it is missing: locked until the caller's transaction ends. Raises NotFound."""
    _seed(session, name, first_schedule(find_sync(name).every, settings))
    return session.get_one(Schedule, name, with_for_update=True)


def change_locked(
    session: Session,
    settings: Settings,
    clock: Clock,
    row: Schedule,
    actor: Actor,
    *,
    cron: str | None = None,
    interval: str | float | None = None,
    enabled: bool | None = None,
    timezone: str | None = None,
) -> None:
    """Changes what is not None. `interval` is in seconds or a duration such as `24h`, and takes the cron line's place.

    A schedule with a new time, or switched on, runs next at that time counted from now. Raises ValidationFailed with
    `details["fields"]`.
    """
    before = _told(row)
    sync = find_sync(row.name)
    seconds = _checked(sync, cron, interval, timezone or row.timezone, row.cron if cron is None else cron)
    if seconds is not None:
        row.cron, row.interval_seconds = None, seconds
    elif cron is not None:
        row.cron, row.interval_seconds = " ".join(cron.split()), None
    row.timezone = timezone or row.timezone
    row.enabled = row.enabled if enabled is None else enabled
    if changed := differences(before, _told(row)):
        row.next_run_at, row.updated_at = plan(session, row, settings, clock()), clock()
        add_entry(session, actor, "schedule.changed", target=row.name, details=changed)


def plan(session: Session, row: Schedule, settings: Settings, now: datetime) -> datetime | None:
    """When the schedule comes next, counted from now; None where it does not, or its sync is no longer in the code."""
    try:
        sync = find_sync(row.name)
    except NotFound:
        return None
    if not row.enabled or list(sync.missing(settings)):
        return None
    if sync.provider is not None:
        turn = next_turn(session, sync, row, now)
        if turn is None or row.interval_seconds is not None:
            return turn and max(turn, now + BETWEEN_TURNS)
    return next_run(row.cron, row.interval_seconds, row.timezone, now)


def _told(row: Schedule) -> dict[str, Json]:
    """What the audit trail tells of a schedule."""
    names = ("cron", "interval_seconds", "timezone", "enabled")
    return {name: getattr(row, name) for name in names}


def _is_out_of_line(row: Schedule, planned: datetime | None) -> bool:
    """Whether it lacks a next run, has one that it should not have, or one too late for who has come since.

    Only turns are the same whenever they are asked for: of any other schedule the next run is as it was planned.
    """
    if planned is None or row.next_run_at is None:
        return planned is not row.next_run_at
    has_turns = find_sync(row.name).provider is not None and row.interval_seconds is not None
    return has_turns and planned < row.next_run_at


def _seed(session: Session, name: str, every: Every) -> None:
    seconds = every.interval.total_seconds() if every.interval else None
    first = {"name": name, "cron": every.cron, "interval_seconds": seconds, "enabled": every.enabled}
    session.execute(insert(Schedule).values(first).on_conflict_do_nothing())


def _checked(
    sync: Sync, cron: str | None, interval: str | float | None, timezone: str, effective_cron: str | None
) -> float | None:
    """The interval in seconds, None where none was given. Raises ValidationFailed."""
    problems: dict[str, list[str]] = {}
    seconds: float | None = None
    if cron is not None and interval is not None:
        problems["interval"] = ["Give either cron or interval, not both."]
    elif interval is not None:
        seconds = _read_interval(sync, interval, problems)
    if not _is_zone(timezone):
        problems["timezone"] = ["Must be a time zone such as UTC or Europe/Berlin."]
    elif effective_cron is not None and interval is None and (wrong := _cron_problem(effective_cron, timezone)):
        problems["cron"] = [wrong]
    if problems:
        raise ValidationFailed(f"The schedule is not valid: {', '.join(problems)}", details={"fields": problems})
    return seconds


def _read_interval(sync: Sync, interval: str | float, problems: dict[str, list[str]]) -> float | None:
    try:
        seconds = parse_duration(interval)
    except ValueError as error:
        problems["interval"] = [f"It {error}."]
        return None
    if not sync.shortest <= seconds <= sync.longest:
        bounds = f"{show_duration(sync.shortest)} and {show_duration(sync.longest)}"
        problems["interval"] = [f"Must be between {bounds}."]
    return seconds


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a bad name, a folder of the zone data, an unknown name
        return False
    return True


def _cron_problem(cron: str, timezone: str) -> str | None:
    if len(cron.split()) != CRON_FIELDS:
        return "Must have five fields: minute, hour, day of month, month, day of week."
    try:
        next_run(cron, None, timezone, ANY_DAY)
    except ValueError as error:
        return f"Cannot be read as a cron line: {error}."
    return None
