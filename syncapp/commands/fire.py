"""What a tick of the clock does."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from config.settings import Settings
from syncapp.commands.start import RunRequest, Triggered, start_run
from syncapp.db import Database
from syncapp.errors import CircuitOpen, Conflict, CredentialsMissing, NotFound, SyncDisabled
from syncapp.models import Schedule
from syncapp.ports import Clock
from syncapp.records import Trigger
from syncapp.schedules import tick_after
from syncapp.scope import Scope

# Beat's clock is not ours: a tick that comes a little before its time is that time's tick.
EARLY = timedelta(seconds=30)
AFTER_ANOTHER_RUN = 60.0


def fire(db: Database, settings: Settings, clock: Clock, name: str) -> list[Triggered]:
    """Starts what the schedule `name` is due to start, at most once however often it is called.

    The runs to dispatch; none where the schedule is disabled, not due, or a run is in flight already. Ticks that were
    missed are made up for by one run. Raises DatabaseUnavailable.
    """
    organization_id = settings.default_organization_id
    with db.session(Scope(organization_id)) as session:
        row = session.execute(select(Schedule).where(Schedule.name == name).with_for_update()).scalar_one_or_none()
        now = clock()
        if row is None or not _is_due(row, now):
            return []
        row.next_run_at, row.last_run_at = tick_after(row, now), now
        try:
            started = start_run(session, organization_id, settings, clock, RunRequest(name, trigger=Trigger.SCHEDULE))
        except CircuitOpen as error:
            _try_again_sooner(row, now, error.retry_after)
            return []
        except Conflict:
            _try_again_sooner(row, now, AFTER_ANOTHER_RUN)
            return []
        except (CredentialsMissing, NotFound, SyncDisabled):
            return []  # that is for whoever reads the schedule's page to see
        return [started] if started.sync_started else []


def _is_due(row: Schedule, now: datetime) -> bool:
    return row.enabled and row.next_run_at is not None and row.next_run_at - EARLY <= now


def _try_again_sooner(row: Schedule, now: datetime, seconds: float | None) -> None:
    """A cron line may be hours from its next time: it goes on when the circuit lets a trial through, or when the run of
    another kind that is in flight may have ended. An interval does not, for its next time hangs on this one."""
    if row.cron is not None and row.next_run_at is not None and seconds is not None:
        row.next_run_at = min(row.next_run_at, now + timedelta(seconds=seconds))
