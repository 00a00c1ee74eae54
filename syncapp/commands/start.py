"""One run: begun by one statement, so that a trigger costs one round trip."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.definition import Sync
from syncapp.errors import CircuitOpen, Conflict, NotFound, SyncDisabled, ValidationFailed
from syncapp.models import Run
from syncapp.ports import Clock
from syncapp.records import RunStatus, Trigger
from syncapp.registry import find_sync

# What may forbid the run and the run itself, decided on the same rows. No row: no such organization.
START = """
WITH state AS (
    SELECT
        organizations.active,
        (SELECT NOT enabled FROM schedules WHERE name = %(sync)s) AS disabled,
        (SELECT extract(epoch FROM open_until - now())::float FROM circuits
            WHERE sync = %(sync)s AND organization_id = %(organization_id)s AND open_until > now()) AS wait
    FROM organizations WHERE id = %(organization_id)s
), created AS (
    INSERT INTO sync_runs (sync_id, sync, organization_id, mode, trigger, full_refresh, dry_run, since, force,
        allow_mass_delete, request_id, dispatched_at)
    SELECT %(sync_id)s, %(sync)s, %(organization_id)s, %(mode)s, %(trigger)s, %(full_refresh)s, %(dry_run)s,
        %(since)s::timestamptz, %(force)s, %(allow_mass_delete)s, %(request_id)s, now()
    FROM state
    WHERE active AND (disabled IS NOT TRUE OR %(force)s OR %(dry_run)s) AND (wait IS NULL OR %(force)s)
    ON CONFLICT (sync, organization_id) WHERE status IN ('starting', 'running') AND NOT dry_run DO NOTHING
    RETURNING sync_id
)
SELECT state.active, state.disabled, state.wait, created.sync_id FROM state LEFT JOIN created ON true
"""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What somebody asks for. `since` reads from there instead of the cursor; `force` asks even where the schedule is
    disabled or the circuit open."""

    sync: str
    mode: str | None = None
    trigger: Trigger = Trigger.MANUAL
    full_refresh: bool = False
    dry_run: bool = False
    since: datetime | None = None
    force: bool = False
    allow_mass_delete: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Triggered:
    """The answer to a request: the run that was started, or the one in flight.

    `repeated` is an earlier answer once more, for the same idempotency key: there is nothing to dispatch.
    """

    sync: str
    sync_id: str
    sync_started: bool
    organization_id: str
    queue: str
    message: str
    timestamp: str
    repeated: bool = False


def make_sync_id(organization_id: str, now: datetime) -> str:
    return f"sync_{organization_id}_{now:%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying to start a run: its id where it was started, else what was in the way."""

    answer: Triggered
    mode: str
    started: bool
    active: bool
    disabled: bool
    wait: float | None


def try_start(
    connection: psycopg.Connection[Any], organization_id: str, settings: Settings, clock: Clock, request: RunRequest
) -> Attempt:
    """One statement. Raises NotFound (sync), CredentialsMissing, ValidationFailed (mode)."""
    sync = find_sync(request.sync)
    sync.check_configured(settings)
    mode = _mode(sync, request)
    now = clock()
    answer = Triggered(
        sync=sync.name,
        sync_id=make_sync_id(organization_id, now),
        sync_started=True,
        organization_id=organization_id,
        queue=sync.queue,
        message=f"{sync.title} sync started",
        timestamp=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    found = connection.execute(START, _values(request, answer, mode)).fetchone()
    active, disabled, wait, created = found or (False, False, None, None)
    return Attempt(answer, mode, created is not None, bool(active), bool(disabled), wait)


def start_run(
    session: Session, organization_id: str, settings: Settings, clock: Clock, request: RunRequest
) -> Triggered:
    """One run in the caller's transaction, or the one in flight. Raises as `trigger_runs` does."""
    raw = session.connection().connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("runs are started through psycopg 3")
    attempt = try_start(raw, organization_id, settings, clock, request)
    if attempt.started:
        return attempt.answer
    if not attempt.active:
        raise NotFound(f"There is no active organization {organization_id}")
    return _in_flight(session, request, attempt) or _refuse(request, attempt)


def _mode(sync: Sync, request: RunRequest) -> str:
    mode = request.mode or sync.default_mode
    allowed = list(sync.modes) or [sync.default_mode]
    if mode not in allowed:
        raise ValidationFailed(
            f"The sync {sync.name} has no mode {mode}",
            details={"fields": {"mode": [f"Must be one of: {', '.join(allowed)}."]}},
        )
    return mode


def _values(request: RunRequest, answer: Triggered, mode: str) -> Mapping[str, Any]:
    return {
        "sync_id": answer.sync_id,
        "sync": answer.sync,
        "organization_id": answer.organization_id,
        "mode": mode,
        "trigger": request.trigger.value,
        "full_refresh": request.full_refresh,
        "dry_run": request.dry_run,
        "since": request.since,
        "force": request.force,
        "allow_mass_delete": request.allow_mass_delete,
        "request_id": request.request_id,
    }


def _in_flight(session: Session, request: RunRequest, attempt: Attempt) -> Triggered | None:
    """The run that is already going. Raises Conflict where it was not asked for the same."""
    live = (Run.dry_run.is_(False), Run.status.in_((RunStatus.STARTING, RunStatus.RUNNING)))
    query = select(Run).where(Run.sync == request.sync, Run.organization_id == attempt.answer.organization_id, *live)
    run = None if request.dry_run else session.execute(query).scalar_one_or_none()
    if run is None:
        return None
    asked = (attempt.mode, request.allow_mass_delete, request.since)
    differs = asked != (run.mode, run.allow_mass_delete, run.since) or (request.full_refresh and not run.full_refresh)
    if differs or run.replay_of is not None:
        raise Conflict(
            f"Another run of {request.sync} is in flight and was asked for something else",
            error_code="RUN_IN_FLIGHT",
            details={"sync_id": run.sync_id},
        )
    return replace(
        attempt.answer,
        sync_id=run.sync_id,
        sync_started=False,
        message=f"A run of {request.sync} is already in flight ({RunStatus(run.status)}); nothing was started",
    )


def _refuse(request: RunRequest, attempt: Attempt) -> Triggered:
    """Raises what was in the way."""
    if attempt.disabled and not (request.force or request.dry_run):
        raise SyncDisabled(
            f"The sync {request.sync} is disabled; enable it with PATCH /api/v1/schedules/{request.sync} "
            'and {"enabled": true}, or force the run'
        )
    if attempt.wait is not None and not request.force:
        raise CircuitOpen(
            f"The source of {request.sync} could not be reached several times in a row; it is left alone for a while. "
            "Wait, or force the run",
            retry_after=float(ceil(attempt.wait)),
        )
    raise Conflict(f"A run of {request.sync} has just ended; ask again", error_code="RUN_JUST_ENDED")
