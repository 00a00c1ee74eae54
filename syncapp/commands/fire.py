"""What a tick of the clock does."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.commands.requests import RunRequest, Triggered
from syncapp.commands.start import start_run, start_where_possible
from syncapp.db import Database, raw_connection
from syncapp.definition import Sync
from syncapp.errors import CircuitOpen, Conflict, CredentialsMissing, NotFound, SyncDisabled
from syncapp.models import Schedule
from syncapp.ports import Clock
from syncapp.records import Trigger
from syncapp.registry import SYNCS
from syncapp.schedules import plan, tick_after
from syncapp.scope import EVERYONE
from syncapp.turns import MOST_AT_ONCE, due_modes, take_turns

# Beat's clock is not ours: a tick that comes a little before its time is that time's tick.
EARLY = timedelta(seconds=30)
AFTER_ANOTHER_RUN = 60.0


def fire(db: Database, settings: Settings, clock: Clock, name: str) -> list[Triggered]:
    """Starts what the schedule `name` is due to start, at most once however often it is called.

    The runs to dispatch; none where the schedule is disabled, not due, or a run is in flight already. Ticks that were
    missed are made up for by one run. Raises DatabaseUnavailable.
    """
    with db.session(EVERYONE) as session:
        row = session.execute(select(Schedule).where(Schedule.name == name).with_for_update()).scalar_one_or_none()
        now = clock()
        sync = next((one for one in SYNCS if one.name == name), None)
        if row is None or sync is None or not _is_due(row, now):
            return []
        start = _start if sync.provider is None else _start_each
        return [one for one in start(session, sync, row, settings, clock) if one.sync_started]


def _start(session: Session, sync: Sync, row: Schedule, settings: Settings, clock: Clock) -> list[Triggered]:
    """The default organization's run."""
    now = clock()
    row.next_run_at, row.last_run_at = tick_after(row, now), now
    request = RunRequest(sync.name, trigger=Trigger.SCHEDULE)
    try:
        return [start_run(session, settings.default_organization_id, settings, clock, request)]
    except CircuitOpen as error:
        _try_again_sooner(row, now, error.retry_after)
    except Conflict:
        _try_again_sooner(row, now, AFTER_ANOTHER_RUN)
    except (CredentialsMissing, NotFound, SyncDisabled):
        pass  # that is for whoever reads the schedule's page to see
    return []


def _start_each(session: Session, sync: Sync, row: Schedule, settings: Settings, clock: Clock) -> list[Triggered]:
    """A run of each organization whose turn it is. One that cannot start has had its turn."""
    now = max(clock(), row.next_run_at or clock())
    organizations = take_turns(session, sync, row, now)
    if organizations:
        row.last_run_at = now
    if len(organizations) < MOST_AT_ONCE:  # else the next tick takes more
        row.next_run_at = plan(session, row, settings, now)
    modes = due_modes(session, sync, settings, organizations, row, now)
    asked = {one: RunRequest(sync.name, mode=mode, trigger=Trigger.SCHEDULE) for one, mode in modes.items()}
    return start_where_possible(raw_connection(session), settings, clock, asked)


def _is_due(row: Schedule, now: datetime) -> bool:
    return row.enabled and row.next_run_at is not None and row.next_run_at - EARLY <= now


def _try_again_sooner(row: Schedule, now: datetime, seconds: float | None) -> None:
    """A cron line may be hours from its next time: it goes on when the circuit lets a trial through, or when the run of
    another kind that is in flight may have ended. An interval does not, for its next time hangs on this one."""
    if row.cron is not None and row.next_run_at is not None and seconds is not None:
        row.next_run_at = min(row.next_run_at, now + timedelta(seconds=seconds))
