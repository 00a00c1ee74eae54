"""What may be asked of a run that is there: cancel, retry, replay, undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, aliased

from config.settings import Settings
from syncapp.audit import Actor, add_entry
from syncapp.commands.requests import RunRequest, Triggered
from syncapp.commands.start import answer_in_flight, begin_run, live_run
from syncapp.commands.trigger import Idempotency, earlier_answer, keep_answer
from syncapp.db import Database, raw_connection
from syncapp.engine.ending import cancellation, end_unheld_run
from syncapp.engine.events import add_event
from syncapp.errors import Conflict, MassDeleteRefused, NotFound
from syncapp.models import DeadLetter, Run, RunChange
from syncapp.ports import Clock
from syncapp.records import UNFINISHED, RunStatus, Trigger
from syncapp.registry import find_sync
from syncapp.scope import Scope

UNSENT = "UPDATE sync_runs SET dispatched_at = NULL WHERE sync_id = %s AND status = 'starting' AND lease_token = 0"
GO_ON = text(
    "UPDATE sync_runs SET checkpoint = old.checkpoint, source = old.source FROM sync_runs AS old "
    "WHERE sync_runs.sync_id = :new AND old.sync_id = :old"
)
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


def cancel_run(db: Database, scope: Scope, sync_id: str, actor: Actor) -> RunStatus:
    """Asks a run to stop at the next page; one that no worker holds ends here. The status it has now.

    Raises NotFound, Conflict (the run has ended).
    """
    with db.session(scope) as session:
        run = _locked(session, sync_id)
        if run.status not in UNFINISHED:
            raise Conflict(f"The run has ended: {run.status}", error_code="RUN_ENDED", details={"sync_id": sync_id})
        add_entry(session, actor, "run.cancelled", organization_id=run.organization_id, target=sync_id)
        return stop_run(session, run)


def stop_runs(session: Session, organization_id: str, sync: str | None = None) -> int:
    """Asks an organization's runs to stop, those of one sync or all; how many."""
    wanted = select(Run).where(Run.organization_id == organization_id, Run.status.in_(UNFINISHED))
    query = wanted if sync is None else wanted.where(Run.sync == sync)
    found = session.scalars(query.order_by(Run.sync_id).with_for_update()).all()
    for run in found:
        stop_run(session, run)
    return len(found)


def stop_run(session: Session, run: Run) -> RunStatus:
    """Of a run that has not ended and is locked; the status it has now."""
    run.cancel_requested_at = func.coalesce(Run.cancel_requested_at, func.now())
    session.flush()
    if end_unheld_run(raw_connection(session), run.sync_id, RunStatus.CANCELLED, cancellation()):
        return RunStatus.CANCELLED
    add_event(session.connection(), run.sync_id, "cancel_requested", {})
    return RunStatus(run.status)


def retry_run(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    sync_id: str,
    actor: Actor | None = None,
    idempotency: Idempotency | None = None,
) -> Triggered:
    """A new run that goes on from the checkpoint of one that failed or was cancelled.

    It begins anew where a later run has completed since: what the old one had read would no longer be the truth.
    A retry of it that is in flight is the answer itself.
    Raises Conflict (not ended, completed, or another run in flight), and as `trigger_run` does.
    """
    with db.session(scope) as session:
        old = _locked(session, sync_id)
        if idempotency and (earlier := earlier_answer(session, old.organization_id, idempotency)):
            return earlier
        running = live_run(session, old.sync, old.organization_id)
        if running is not None and running.retry_of == sync_id:
            return _finish(session, idempotency, answer_in_flight(running, clock, f"A retry of {sync_id}"))
        if old.status not in (RunStatus.FAILED, RunStatus.CANCELLED):
            raise Conflict(
                f"Only a failed or cancelled run can be retried, this one is {old.status}",
                error_code="RUN_NOT_RETRYABLE",
                details={"sync_id": sync_id},
            )
        anew = _must_begin_anew(session, old)
        request = replace(_request_like(old, actor), retry_of=sync_id, replay_of=old.replay_of, undo_of=old.undo_of)
        answer = _start(session, old.organization_id, settings, clock, request, f"Retry of {sync_id} started")
        for statement in () if anew else (GO_ON, COPY_KEYS):
            session.execute(statement, {"new": answer.sync_id, "old": sync_id})
        return _finish(session, idempotency, answer)


@dataclass(frozen=True, slots=True)
class Repair:
    """What a new run does about an earlier one, which the column `of` of the new one names.

    count    says what there is to do (`8 failed records`); raises Conflict where nothing can be
    request  what is asked for
    """

    name: str
    of: str
    count: Callable[[Session, Run], str]
    request: Callable[[Run], RunRequest]


def replay_errors(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    sync_id: str,
    actor: Actor | None = None,
    idempotency: Idempotency | None = None,
) -> Triggered:
    """A new run that tries the failed records of an earlier one again, those that could be stored as they came.

    A replay of it that is in flight is the answer itself. Where the source is not asked for them, an open circuit
    is no hindrance. Raises Conflict (a dry run, not ended, nothing to replay, another run in flight), and as
    `trigger_run` does.
    """
    repair = Repair(
        "Replay", "replay_of", _count_replayable, lambda old: replace(_request_like(old, actor), replay_of=sync_id)
    )
    return _repair(db, scope, settings, clock, sync_id, repair, idempotency)


def undo_run(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    sync_id: str,
    actor: Actor | None = None,
    idempotency: Idempotency | None = None,
) -> Triggered:
    """A new run that puts back what an earlier one changed, where nobody has changed the same since.

    An undo of it that is in flight is the answer itself. Raises Conflict (a dry run, not ended, nothing that could be
    undone, undone already, another run in flight), and as `trigger_run` does.
    """
    repair = Repair(
        "Undo", "undo_of", _count_changes, lambda old: RunRequest(old.sync, old.mode, actor=actor, undo_of=sync_id)
    )
    return _repair(db, scope, settings, clock, sync_id, repair, idempotency)


def _repair(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    sync_id: str,
    repair: Repair,
    idempotency: Idempotency | None,
) -> Triggered:
    with db.session(scope) as session:
        old = _locked(session, sync_id)
        if idempotency and (earlier := earlier_answer(session, old.organization_id, idempotency)):
            return earlier
        if old.status in UNFINISHED:
            raise _in_flight(old)
        running = live_run(session, old.sync, old.organization_id)
        if running is not None and getattr(running, repair.of) == sync_id:
            return _finish(
                session, idempotency, answer_in_flight(running, clock, f"The {repair.name.lower()} of {sync_id}")
            )
        message = f"{repair.name} of {repair.count(session, old)} of {sync_id} started"
        answer = _start(session, old.organization_id, settings, clock, repair.request(old), message)
        return _finish(session, idempotency, answer)


def _count_changes(session: Session, old: Run) -> str:
    """`3 changes`. Raises Conflict where there is none to put back."""
    if old.dry_run:
        raise Conflict("A dry run changed nothing", error_code="DRY_RUN_NOT_UNDOABLE")
    again = aliased(Run)  # an undo that was undone itself does not count
    redone = select(again.sync_id).where(again.undo_of == Run.sync_id, again.status == RunStatus.COMPLETED).exists()
    done = select(Run.sync_id).where(Run.undo_of == old.sync_id, Run.status == RunStatus.COMPLETED, ~redone)
    undone = session.execute(done.limit(1)).scalar()
    if undone is not None:
        raise Conflict("The run was undone already", error_code="ALREADY_UNDONE", details={"sync_id": undone})
    if not find_sync(old.sync).policy.record_changes:
        raise Conflict(f"Runs of {old.sync} keep no changes, so none can be undone", error_code="CHANGES_NOT_KEPT")
    found = session.execute(select(func.count()).where(RunChange.sync_id == old.sync_id)).scalar_one()
    if not found:
        raise Conflict("The run changed nothing", error_code="NOTHING_TO_UNDO")
    return _number(found, "change")


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


def _count_replayable(session: Session, old: Run) -> str:
    """`8 failed records`. Raises Conflict where there is none."""
    if old.dry_run:
        raise Conflict(
            f"{old.sync_id} was a dry run, of which nothing is written: start a run of {old.sync} without dry_run, "
            "and replay what fails in that",
            error_code="DRY_RUN_NOT_REPLAYABLE",
        )
    if old.undo_of is not None:
        message = f"{old.sync_id} undid a run: what it could not put back would not fit now either"
        raise Conflict(message, error_code="UNDO_NOT_REPLAYABLE")
    sync_id = old.sync_id
    waiting = (DeadLetter.sync_id == sync_id, DeadLetter.replayed_at.is_(None))
    whole = func.count().filter(DeadLetter.replayable)
    found, altered = session.execute(select(whole, func.count() - whole).where(*waiting)).one()
    if found:
        return _number(found, "failed record")
    message = "The run has no failed records to replay"
    if altered:
        message += (
            f": {_number(altered, 'failed record')} could only be stored altered (NUL, half characters, or too long); "
            "a full refresh reads them again"
        )
    raise Conflict(message, error_code="NOTHING_TO_REPLAY", details={"sync_id": sync_id} if altered else None)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _locked(session: Session, sync_id: str) -> Run:
    run = session.execute(select(Run).where(Run.sync_id == sync_id).with_for_update()).scalar_one_or_none()
    if run is None:
        raise NotFound(f"There is no run {sync_id}")
    return run


def _finish(session: Session, asked: Idempotency | None, answer: Triggered) -> Triggered:
    if asked:
        keep_answer(session, answer.organization_id, asked, [answer])
    return answer


def _request_like(old: Run, actor: Actor | None) -> RunRequest:
    like = ("sync", "mode", "full_refresh", "dry_run", "since", "force")
    return RunRequest(trigger=Trigger.RETRY, actor=actor, **{name: getattr(old, name) for name in like})


def _start(
    session: Session, organization_id: str, settings: Settings, clock: Clock, request: RunRequest, message: str
) -> Triggered:
    begun = begin_run(session, organization_id, settings, clock, request)
    if isinstance(begun, Run):
        raise _in_flight(begun)
    return replace(begun, message=message)


def _in_flight(run: Run) -> Conflict:
    message = f"A run of {run.sync} is in flight; wait for its end"
    return Conflict(message, error_code="RUN_IN_FLIGHT", details={"sync_id": run.sync_id})
