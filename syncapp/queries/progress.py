"""How far a run is, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import Run
from syncapp.records import RunStatus
from syncapp.scope import Scope

ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run in a moment of its life.

    records_total      what the source says all of them are, None while or where it does not say
    current_operation  what it does, or why it waits
    seconds_to_wait    until `resume_at`, by PostgreSQL's clock; 0 where it is due
    held_by            the process that works on it, None where none does
    """

    sync_id: str
    sync: str
    status: str
    source: str
    attempt: int
    records_processed: int
    records_total: int | None
    current_operation: str | None
    resume_at: datetime | None
    seconds_to_wait: float
    held_by: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_due(self) -> bool:
        """Whether a process may take it up now."""
        return not self.has_ended and self.held_by is None and self.seconds_to_wait <= 0


def get_progress(db: Database, scope: Scope, sync_id: str) -> RunProgress:
    """Raises NotFound: unknown, or another organization's."""
    plain = (Run.sync_id, Run.sync, Run.status, Run.source, Run.attempt, Run.records_processed, Run.records_total)
    wait = func.coalesce(func.greatest(func.extract("epoch", Run.resume_at - func.now()), 0), 0)
    query = select(
        *plain,
        Run.current_operation,
        Run.resume_at,
        wait.label("seconds_to_wait"),
        case((Run.lease_expires_at > func.now(), Run.lease_owner)).label("held_by"),
    )
    with db.session(scope) as session:
        row = session.execute(query.where(Run.sync_id == sync_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no run {sync_id}")
    return RunProgress(**dict(row) | {"seconds_to_wait": float(row["seconds_to_wait"])})
