"""What may be asked of a run that is there: cancel, retry, replay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from syncapp.commands.start import Triggered, make_sync_id
from syncapp.commands.trigger import Idempotency, earlier_answer, keep_answer
from syncapp.db import Database, raw_connection
from syncapp.engine.ending import cancellation, end_unheld_run
from syncapp.engine.events import add_event
from syncapp.errors import Conflict, MassDeleteRefused, NotFound
from syncapp.models import DeadLetter, Run
from syncapp.models.runs import LIVE
from syncapp.ports import Clock
from syncapp.records import RunStatus, Trigger
from syncapp.registry import find_sync
from syncapp.scope import Scope

UNFINISHED = (RunStatus.STARTING, RunStatus.RUNNING)
UNSENT = "UPDATE sync_runs SET dispatched_at = NULL WHERE sync_id = %s AND status = 'starting' AND lease_token = 0"
COPY_KEYS = text(
    "INSERT INTO run_keys (sync_id, stream, number, keys) "
    "SELECT :new, stream, number, keys FROM run_keys WHERE sync_id = :old"
)


def leave_to_sweep(db: Database, sync_id: str) -> None:
    """For callers that dispatch nothing: a run they have just started is sent by the workers' next sweep.

    Without this the sweep takes its message to be on the way for a while. Raises DatabaseUnavailable.
    """
    with db.connection() as connection:
        connection.execute(UNSENT, (sync_id,))


def cancel_run(db: Database, scope: Scope, sync_id: str) -> RunStatus:
    """Asks a run to stop at the next page; one that no worker holds ends here. The status it has now.

    Raises NotFound, Conflict (the run has ended).
    """
    with db.session(scope) as session:
        run = _locked(session, sync_id)
        if run.status not in UNFINISHED:
            raise Conflict(f"The run has ended: {run.status}", error_code="RUN_ENDED", details={"sync_id": sync_id})
        run.cancel_requested_at = func.coalesce(Run.cancel_requested_at, func.now())
        session.flush()
        if end_unheld_run(raw_connection(session), sync_id, RunStatus.CANCELLED, cancellation()):
            return RunStatus.CANCELLED
        add_event(session.connection(), sync_id, "cancel_requested", {})
        return RunStatus(run.status)


def retry_run(
    db: Database,
    scope: Scope,
    clock: Clock,
    sync_id: str,
    request_id: str | None = None,
    idempotency: Idempotency | None = None,
) -> Triggered:
    """A new run that goes on from the checkpoint of one that failed or was cancelled.

    It begins anew where a later run has completed since: what the old one had read would no longer be the truth.
    A retry of it that is in flight is the answer itself.
    Raises NotFound, Conflict (not ended, completed, or another run in flight).
    """
    with db.session(scope) as session:
        old = _locked(session, sync_id)
        if idempotency and (earlier := earlier_answer(session, old.organization_id, idempotency)):
            return earlier[0]
        running = _in_flight(session, old)
        if running is not None and running.retry_of == sync_id:
            return _finish(session, idempotency, _none_started(clock, running, f"A retry of {sync_id}"))
        if old.status not in (RunStatus.FAILED, RunStatus.CANCELLED):
            raise Conflict(
                f"Only a failed or cancelled run can be retried, this one is {old.status}",
                error_code="RUN_NOT_RETRYABLE",
                details={"sync_id": sync_id},
            )
        anew = _must_begin_anew(session, old)
        message = f"Retry of {sync_id} started"
        kept = {} if anew else {"checkpoint": old.checkpoint, "source": old.source}
        values = {"replay_of": old.replay_of, "retry_of": sync_id, **kept}
        answer = _start(session, clock, old, request_id, message, **values)
        if not anew:
            session.execute(COPY_KEYS, {"new": answer.sync_id, "old": sync_id})
        return _finish(session, idempotency, answer)


def replay_errors(
    db: Database,
    scope: Scope,
    clock: Clock,
    sync_id: str,
    request_id: str | None = None,
    idempotency: Idempotency | None = None,
) -> Triggered:
    """A new run that tries the failed records of an earlier one again, those that could be stored as they came.

    A replay of it that is in flight is the answer itself.
    Raises NotFound, Conflict (nothing to replay, or another run in flight).
    """
    with db.session(scope) as session:
        old = _locked(session, sync_id)
        if idempotency and (earlier := earlier_answer(session, old.organization_id, idempotency)):
            return earlier[0]
        running = _in_flight(session, old)
        if running is not None and running.replay_of == sync_id:
            return _finish(session, idempotency, _none_started(clock, running, f"A replay of {sync_id}"))
        message = f"Replay of {_count_replayable(session, sync_id)} of {sync_id} started"
        answer = _start(session, clock, old, request_id, message, replay_of=sync_id)
        return _finish(session, idempotency, answer)


def _must_begin_anew(session: Session, old: Run) -> bool:
    later = select(Run.sync_id).where(
        Run.sync == old.sync,
        Run.organization_id == old.organization_id,
        Run.status == RunStatus.COMPLETED,
        Run.dry_run.is_(False),
        Run.completed_at > (old.started_at or old.created_at),
    )
    completed_since = session.execute(later.limit(1)).scalar() is not None
    return completed_since or old.error_type == MassDeleteRefused.error_type  # that one had read all it could


def _count_replayable(session: Session, sync_id: str) -> str:
    """`8 failed records`. Raises Conflict where there is none."""
    waiting = (DeadLetter.sync_id == sync_id, DeadLetter.replayed_at.is_(None))
    whole = func.count().filter(DeadLetter.replayable)
    found, altered = session.execute(select(whole, func.count() - whole).where(*waiting)).one()
    if found:
        return _records(found)
    message = "The run has no failed records to replay"
    if altered:
        message += (
            f": {_records(altered)} could only be stored altered (NUL, half characters, or too long); "
            "a full refresh reads them again"
        )
    raise Conflict(message, error_code="NOTHING_TO_REPLAY", details={"sync_id": sync_id} if altered else None)


def _records(count: int) -> str:
    return f"{count:,} failed record" + ("" if count == 1 else "s")


def _locked(session: Session, sync_id: str) -> Run:
    run = session.execute(select(Run).where(Run.sync_id == sync_id).with_for_update()).scalar_one_or_none()
    if run is None:
        raise NotFound(f"There is no run {sync_id}")
    return run


def _in_flight(session: Session, like: Run) -> Run | None:
    found = select(Run).where(Run.sync == like.sync, Run.organization_id == like.organization_id)
    return session.execute(found.where(Run.dry_run.is_(False), Run.status.in_(UNFINISHED))).scalar_one_or_none()


def _finish(session: Session, asked: Idempotency | None, answer: Triggered) -> Triggered:
    if asked:
        keep_answer(session, answer.organization_id, asked, [answer])
    return answer


def _none_started(clock: Clock, running: Run, what: str) -> Triggered:
    """The answer that names a run in flight which does what was asked for."""
    message = f"{what} is already in flight ({running.status}); nothing was started"
    return _answer(clock(), running, running.sync_id, message, started=False)


def _start(
    session: Session, clock: Clock, old: Run, request_id: str | None, message: str, **values: object
) -> Triggered:
    """A run like `old`. Raises Conflict while one is in flight."""
    now = clock()
    sync_id = make_sync_id(old.organization_id, now)
    like = ("sync", "organization_id", "mode", "full_refresh", "dry_run", "since", "force")
    created = session.execute(
        insert(Run)
        .values(
            sync_id=sync_id,
            trigger=Trigger.RETRY,
            request_id=request_id,
            dispatched_at=func.now(),
            **{name: getattr(old, name) for name in like},
            **values,
        )
        .on_conflict_do_nothing(index_elements=["sync", "organization_id"], index_where=LIVE)
        .returning(Run.sync_id)
    ).scalar()
    if created is None:
        running = _in_flight(session, old)
        raise Conflict(
            f"Another run of {old.sync} is in flight; wait for its end",
            error_code="RUN_IN_FLIGHT",
            details={"sync_id": running.sync_id} if running else None,
        )
    return _answer(now, old, sync_id, message, started=True)


def _answer(now: datetime, of: Run, sync_id: str, message: str, *, started: bool) -> Triggered:
    return Triggered(
        sync=of.sync,
        sync_id=sync_id,
        sync_started=started,
        organization_id=of.organization_id,
        queue=find_sync(of.sync).queue,
        message=message,
        timestamp=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
