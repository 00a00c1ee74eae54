"""Starting runs: committed in PostgreSQL before anybody is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.commands.requests import RunRequest, Triggered
from syncapp.commands.start import start_run, try_start
from syncapp.db import Database
from syncapp.errors import CircuitOpen, Conflict, CredentialsMissing, RequestRefused, SyncError, ValidationFailed
from syncapp.models import IdempotencyKey
from syncapp.ports import Clock
from syncapp.scope import Scope

IDEMPOTENCY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Idempotency:
    """`Idempotency-Key`, and a hash of everything else in the request."""

    key: str
    request_hash: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why one of several runs was not started. `sync_id` is the run in flight, where that is the reason."""

    sync: str
    sync_id: str | None
    error_type: str
    error_code: str
    message: str


def trigger_run(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    request: RunRequest,
    idempotency: Idempotency | None = None,
) -> Triggered:
    """Starts a run for the scope's organization, or names the one in flight.

    Raises NotFound (sync or organization), CredentialsMissing, SyncDisabled, Conflict (a run in flight that was asked
    for something else), CircuitOpen, ValidationFailed (mode; since with full_refresh; an idempotency key used
    for another request), DatabaseUnavailable.
    """
    organization_id = _organization_of(scope)
    if idempotency is None:
        with db.statements() as connection:
            attempt = try_start(connection, organization_id, settings, clock, request)
        if attempt.started:
            return attempt.answer
    with db.session(scope) as session:
        if idempotency and (earlier := earlier_answer(session, organization_id, idempotency)):
            return earlier
        answer = start_run(session, organization_id, settings, clock, request)
        if idempotency:
            keep_answer(session, organization_id, idempotency, [answer])
        return answer


def trigger_runs(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    requests: Sequence[RunRequest],
    idempotency: Idempotency | None = None,
) -> tuple[list[Triggered], list[Refused]]:
    """As `trigger_run` for each request by itself: none is left undone for what is wrong with another.

    Raises what the first was refused for where all of them were.
    """
    organization_id = _organization_of(scope)
    with db.session(scope) as session:
        if idempotency and (earlier := _earlier_answers(session, organization_id, idempotency)):
            return earlier
        runs: list[Triggered] = []
        refusals: list[tuple[RunRequest, SyncError]] = []
        for request in requests:
            try:
                runs.append(start_run(session, organization_id, settings, clock, request))
            except (RequestRefused, CredentialsMissing, CircuitOpen) as error:
                refusals.append((request, error))
        if not runs:
            raise refusals[0][1]
        refused = [_refused(request, error) for request, error in refusals]
        if idempotency:
            keep_answer(session, organization_id, idempotency, runs, refused)
        return runs, refused


def _organization_of(scope: Scope) -> str:
    if scope.organization_id is None:
        raise ValueError("a run belongs to one organization")
    return scope.organization_id


def _refused(request: RunRequest, error: SyncError) -> Refused:
    sync_id = error.details.get("sync_id") if isinstance(error, Conflict) else None
    return Refused(request.sync, sync_id, error.error_type, error.error_code, error.message)


def earlier_answer(session: Session, organization_id: str, asked: Idempotency) -> Triggered | None:
    """The first answer to this key, where that was one run. Requests with the same key wait for each other."""
    earlier = _earlier_answers(session, organization_id, asked)
    return earlier[0][0] if earlier else None


def _earlier_answers(
    session: Session, organization_id: str, asked: Idempotency
) -> tuple[list[Triggered], list[Refused]] | None:
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
    session.execute(lock, {"key": f"{organization_id}\n{asked.key}"})
    fresh = func.now() - text(f"interval '{IDEMPOTENCY_HOURS} hours'")
    found = session.execute(
        select(IdempotencyKey).where(
            IdempotencyKey.organization_id == organization_id,
            IdempotencyKey.key == asked.key,
            IdempotencyKey.created_at > fresh,
        )
    ).scalar_one_or_none()
    if found is None:
        return None
    if found.request_hash != asked.request_hash:
        raise ValidationFailed(
            "This Idempotency-Key was used for another request",
            error_code="IDEMPOTENCY_KEY_REUSED",
            details={"fields": {"Idempotency-Key": ["Use a new key for a new request."]}},
        )
    runs = [replace(Triggered(**answer), repeated=True) for answer in found.response["runs"]]
    return runs, [Refused(**answer) for answer in found.response["refused"]]


def keep_answer(
    session: Session,
    organization_id: str,
    asked: Idempotency,
    runs: Sequence[Triggered],
    refused: Sequence[Refused] = (),
) -> None:
    """Keeps the first answer, and forgets the old ones."""
    told = [{name: value for name, value in asdict(run).items() if value is not None} for run in runs]
    response: dict[str, Any] = {"runs": told, "refused": [asdict(one) for one in refused]}
    old = func.now() - text(f"interval '{IDEMPOTENCY_HOURS} hours'")
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= old))
    session.execute(
        insert(IdempotencyKey).values(
            organization_id=organization_id, key=asked.key, request_hash=asked.request_hash, response=response
        )
    )
