"""Starting runs: committed in PostgreSQL before anybody is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.commands.start import RunRequest, Triggered, start_run, try_start
from syncapp.db import Database
from syncapp.errors import ValidationFailed
from syncapp.models import IdempotencyKey
from syncapp.ports import Clock
from syncapp.scope import Scope

IDEMPOTENCY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Idempotency:
    """`Idempotency-Key`, and a hash of everything else in the request."""

    key: str
    request_hash: str


def trigger_runs(
    db: Database,
    scope: Scope,
    settings: Settings,
    clock: Clock,
    requests: Sequence[RunRequest],
    idempotency: Idempotency | None = None,
) -> list[Triggered]:
    """Starts a run per request for the scope's organization, all of them or none.

    Raises NotFound (sync or organization), CredentialsMissing, SyncDisabled, Conflict (a run in flight that was asked
    for something else), CircuitOpen, ValidationFailed (mode; since with full_refresh; an idempotency key used
    for another request), DatabaseUnavailable.
    """
    organization_id = scope.organization_id
    if organization_id is None:
        raise ValueError("a run belongs to one organization")
    if len(requests) == 1 and idempotency is None:
        with db.statements() as connection:
            attempt = try_start(connection, organization_id, settings, clock, requests[0])
        if attempt.started:
            return [attempt.answer]
    with db.session(scope) as session:
        if idempotency and (earlier := earlier_answer(session, organization_id, idempotency)):
            return earlier
        answers = [start_run(session, organization_id, settings, clock, request) for request in requests]
        if idempotency:
            keep_answer(session, organization_id, idempotency, answers)
        return answers


def earlier_answer(session: Session, organization_id: str, asked: Idempotency) -> list[Triggered] | None:
    """The first answer to this key. Requests with the same key wait for each other."""
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
    return [replace(Triggered(**answer), repeated=True) for answer in found.response["runs"]]


def keep_answer(session: Session, organization_id: str, asked: Idempotency, answers: Sequence[Triggered]) -> None:
    """Keeps the first answer, and forgets the organization's old ones."""
    response: dict[str, Any] = {"runs": [asdict(answer) for answer in answers]}
    old = func.now() - text(f"interval '{IDEMPOTENCY_HOURS} hours'")
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= old))
    session.execute(
        insert(IdempotencyKey).values(
            organization_id=organization_id, key=asked.key, request_hash=asked.request_hash, response=response
        )
    )
