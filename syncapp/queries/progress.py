"""How far a run is, for whoever watches it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, Text, case, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import DeadLetter, Run
from syncapp.records import ENDED, Json, RunStatus
from syncapp.registry import SYNCS
from syncapp.scope import Scope

ERRORS_SHOWN = 10
ALMOST = 0.99  # a step or a run whose records have all come is done when its last transaction is
BEGUN = 0.01  # before that much is done nobody can say how long the rest takes
# Of a stream that does not name a total nobody knows more than what has come.
TOTAL = case((Run.records_total.is_not(None), func.greatest(Run.records_total, Run.records_processed))).label(
    "records_total"
)
FACTS = (
    *(Run.sync_id, Run.sync, Run.mode, Run.organization_id, Run.status, Run.steps, Run.retry_of),
    *(Run.started_at, Run.completed_at, Run.resume_at, Run.records_processed, TOTAL),
    *(Run.current_operation, Run.error_type, Run.error_code, Run.error_message),
)


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


@dataclass(frozen=True, slots=True)
class ProgressView:
    """A run's progress as the contract shows it.

    progress_percentage   0 to 100; only ever goes up
    current_step          the step that is under way, or how the run ended
    estimated_completion  from the throughput so far; None before there is one; the real one once it has ended
    errors                why it failed or waits, and the latest failed records: JSON objects with a message
    """

    sync_id: str
    organization_id: str
    status: str
    progress_percentage: float
    current_step: str
    total_steps: int
    completed_steps: int
    started_at: datetime | None
    estimated_completion: datetime | None
    records_processed: int
    records_total: int | None
    current_operation: str | None
    errors: list[Json]


def get_progress(db: Database, scope: Scope, sync_id: str) -> RunProgress:
    """Raises NotFound: unknown, or another organization's."""
    plain = (Run.sync_id, Run.sync, Run.status, Run.source, Run.attempt, Run.records_processed, TOTAL)
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


def view_progress(db: Database, scope: Scope, sync_id: str) -> ProgressView:
    """Raises NotFound: unknown, or another organization's."""
    with db.session(scope) as session:
        found = read_progress(session, [sync_id])
    if sync_id not in found:
        raise NotFound(f"There is no run {sync_id}")
    return found[sync_id]


def read_progress(session: Session, sync_ids: Collection[str]) -> dict[str, ProgressView]:
    """Of each run that is there and that the session may see, in two statements."""
    query = select(*FACTS, func.now().label("now")).where(Run.sync_id.in_(sync_ids))
    runs = session.execute(query).mappings().all()
    errors: dict[str, list[Json]] = {run["sync_id"]: _own_error(run) for run in runs}
    for sync_id, stream, external_id, error_type, message in session.execute(_latest_failures(list(errors))):
        errors[sync_id].append(
            {"error_type": error_type, "message": message, "stream": stream, "external_id": external_id}
        )
    return {run["sync_id"]: _view(run, errors[run["sync_id"]]) for run in runs}


def _latest_failures(sync_ids: Sequence[str]) -> Any:
    """A few of each run, however many there are."""
    wanted = select(func.unnest(literal(list(sync_ids), ARRAY(Text))).label("sync_id")).subquery()
    shown = (DeadLetter.stream, DeadLetter.external_id, DeadLetter.error_type, DeadLetter.message)
    latest = select(*shown).where(DeadLetter.sync_id == wanted.c.sync_id).order_by(DeadLetter.id.desc())
    few = latest.limit(ERRORS_SHOWN).lateral()
    return select(wanted.c.sync_id, *few.c).select_from(wanted.join(few, literal(True)))


def _own_error(run: RowMapping) -> list[Json]:
    if run["error_type"] is None or run["status"] == RunStatus.COMPLETED:
        return []
    return [{"error_type": run["error_type"], "error_code": run["error_code"], "message": run["error_message"]}]


def _view(run: RowMapping, errors: list[Json]) -> ProgressView:
    steps = run["steps"] or _steps_to_come(run["sync"], run["mode"])
    done = 1.0 if run["status"] == RunStatus.COMPLETED else _share_of_all(steps)
    return ProgressView(
        sync_id=run["sync_id"],
        organization_id=run["organization_id"],
        status=run["status"],
        progress_percentage=round(done * 100, 1),
        current_step=_current_step(run["status"], steps),
        total_steps=len(steps),
        completed_steps=sum(step["status"] == "completed" for step in steps),
        started_at=run["started_at"],
        estimated_completion=_estimate(run, done),
        records_processed=run["records_processed"],
        records_total=run["records_total"],
        current_operation=run["current_operation"],
        errors=errors,
    )


def _steps_to_come(sync: str, mode: str) -> list[Json]:
    """Before the run has begun. None of a sync or a mode that is no longer in the code."""
    found = [one for one in SYNCS if one.name == sync and mode in one.mode_names]
    return [{"title": stream.title, "status": "pending"} for one in found for stream in one.streams_of(mode)]


def _share_of_all(steps: list[Json]) -> float:
    """Of a run that has not completed: where every step has, the transaction that ends it is missing."""
    weights = [step.get("weight", 1.0) for step in steps]
    done = sum(weight * _share(step) for weight, step in zip(weights, steps, strict=True))
    return min(done / sum(weights), ALMOST) if steps else 0.0


def _share(step: Json) -> float:
    """How much of a step is done. A second look, and records that came after the total was named, add nothing."""
    if step["status"] == "completed":
        return 1.0
    total = step.get("total")
    return min(step["records_processed"] / total, ALMOST) if total else 0.0


def _current_step(status: str, steps: list[Json]) -> str:
    if status in ENDED:
        return status.capitalize()
    if status == RunStatus.STARTING:
        return "Waiting for a worker"
    return next((step["title"] for step in steps if step["status"] != "completed"), "Finishing")


def _estimate(run: RowMapping, done: float) -> datetime | None:
    goes_on = run["retry_of"] is not None  # with what another run has done: its own pace is not known
    if run["completed_at"] is not None or run["started_at"] is None or done < BEGUN or goes_on:
        return run["completed_at"]  # type: ignore[no-any-return]
    begin: datetime = max(run["now"], run["resume_at"] or run["now"])
    elapsed: timedelta = run["now"] - run["started_at"]
    return begin + elapsed * ((1 - done) / done)
