"""One run: begun by one statement, so that a trigger costs one round trip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.commands.requests import (
    RunRequest,
    Triggered,
    check_read,
    make_sync_id,
    mode_of,
    show_request,
)
from syncapp.credentials import missing, refused
from syncapp.db import raw_connection
from syncapp.definition import Sync
from syncapp.errors import CircuitOpen, Conflict, NotFound, SyncDisabled, ValidationFailed
from syncapp.models import Run
from syncapp.ports import Clock
from syncapp.records import RunStatus
from syncapp.registry import find_sync
from syncapp.times import show_time

# What may forbid the run and the run itself, decided on the same rows. No row: no such organization. Its row is locked:
# either the run is seen by whoever deactivates the organization, or the deactivation by us.
START = """
WITH state AS (
    SELECT
        organizations.active,
        (SELECT NOT enabled FROM schedules WHERE name = %(sync)s) AS disabled,
        (SELECT extract(epoch FROM open_until - now())::float FROM circuits
            WHERE sync = %(sync)s AND organization_id = %(organization_id)s AND open_until > now()) AS wait,
        CASE WHEN %(provider)s::text IS NULL THEN true ELSE (SELECT valid FROM credentials
            WHERE organization_id = %(organization_id)s AND provider = %(provider)s) END AS admitted
    FROM organizations WHERE id = %(organization_id)s FOR SHARE
), created AS (
    INSERT INTO sync_runs (sync_id, sync, organization_id, mode, trigger, full_refresh, dry_run, since, force,
        allow_mass_delete, request_id, retry_of, replay_of, undo_of, dispatched_at)
    SELECT %(sync_id)s, %(sync)s, %(organization_id)s, %(mode)s, %(trigger)s, %(full_refresh)s, %(dry_run)s,
        %(since)s::timestamptz, %(force)s, %(allow_mass_delete)s, %(request_id)s, %(retry_of)s, %(replay_of)s,
        %(undo_of)s, now()
    FROM state
    WHERE active AND (disabled IS NOT TRUE OR %(ignores_switch)s)
        AND (%(asks_nobody)s OR admitted AND (wait IS NULL OR %(force)s))
    ON CONFLICT (sync, organization_id) WHERE status IN ('starting', 'running') AND NOT dry_run DO NOTHING
    RETURNING sync_id
), audited AS (
    INSERT INTO audit_log (actor, organization_id, action, target, request_id, details)
    SELECT %(actor)s, %(organization_id)s, 'run.started', sync_id, %(request_id)s, %(asked)s::jsonb FROM created
    WHERE %(actor)s::text IS NOT NULL
)
SELECT state.active, state.disabled, state.wait, state.admitted, created.sync_id FROM state LEFT JOIN created ON true
"""
TRIES = 3  # each more is needed only where a run ends between two statements


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying to start a run: whether it was started, else what may have been in the way.

    `admitted` is None where the organization has no credentials for the source, False where they were refused.
    """

    answer: Triggered
    started: bool
    disabled: bool
    wait: float | None
    admitted: bool | None


def try_start(
    connection: psycopg.Connection[Any], organization_id: str, settings: Settings, clock: Clock, request: RunRequest
) -> Attempt:
    """One statement. Raises NotFound (sync or organization), CredentialsMissing, ValidationFailed."""
    answer, values = _prepare(organization_id, settings, clock, request)
    found = connection.execute(START, values).fetchone() or [None] * 5
    active, disabled, wait, admitted, created = found
    if not active:
        raise NotFound(f"There is no active organization {organization_id}")
    return Attempt(answer, created is not None, bool(disabled), wait, admitted)


def _check_owner(sync: Sync, organization_id: str, settings: Settings) -> None:
    """A catalogue that there is once belongs to the default organization. Raises ValidationFailed."""
    default = settings.default_organization_id
    if sync.admins_only and organization_id != default:
        rule = [f"Must be {default}, or none."]
        raise ValidationFailed(
            f"The sync {sync.name} belongs to the default organization, {default}",
            error_code="NOT_THE_DEFAULT_ORGANIZATION",
            details={"fields": {"organization_id": rule}},
        )


def start_where_possible(
    connection: psycopg.Connection[Any], settings: Settings, clock: Clock, requests: Mapping[str, RunRequest]
) -> list[Triggered]:
    """A run of each organization that nothing forbids and that has none in flight, in one round trip for all of them.

    Raises as `try_start`, but for the organization.
    """
    prepared = [_prepare(one, settings, clock, request) for one, request in requests.items()]
    with connection.cursor() as cursor:
        cursor.executemany(START, [values for _, values in prepared], returning=True)
        started = []
        for answer, _ in prepared:
            found = cursor.fetchone()
            started += [answer] if found is not None and found[-1] is not None else []
            cursor.nextset()
    return started


def _prepare(
    organization_id: str, settings: Settings, clock: Clock, request: RunRequest
) -> tuple[Triggered, Mapping[str, Any]]:
    """The answer that is given if the run can be started, and what START needs."""
    sync = find_sync(request.sync)
    _check_owner(sync, organization_id, settings)
    if request.undo_of is None:
        sync.check_configured(settings)
    mode = mode_of(sync, request)
    check_read(sync, request, mode)
    now = clock()
    answer = Triggered(
        sync=sync.name,
        sync_id=make_sync_id(organization_id, now),
        sync_started=True,
        organization_id=organization_id,
        queue=sync.queue,
        message=f"{sync.title} sync started",
        timestamp=show_time(now),
        estimate=request.estimate,
    )
    return answer, _values(sync, request, answer, mode)


def begin_run(
    session: Session, organization_id: str, settings: Settings, clock: Clock, request: RunRequest
) -> Triggered | Run:
    """A run in the caller's transaction, or the one in flight that is in the way. Raises as `trigger_run` does."""
    for _ in range(TRIES):
        attempt = try_start(raw_connection(session), organization_id, settings, clock, request)
        if attempt.started:
            return attempt.answer
        running = None if request.dry_run else live_run(session, request.sync, organization_id)
        if running is not None:
            return running
        _check_allowed(find_sync(request.sync), request, attempt)
    raise Conflict(f"A run of {request.sync} has just ended; ask again", error_code="RUN_JUST_ENDED")


def start_run(
    session: Session, organization_id: str, settings: Settings, clock: Clock, request: RunRequest
) -> Triggered:
    """As `begin_run`, where the one in flight was asked for the same; else raises Conflict."""
    begun = begin_run(session, organization_id, settings, clock, request)
    if isinstance(begun, Triggered):
        return begun
    asked = (request.mode or find_sync(request.sync).default_mode, request.allow_mass_delete, request.since)
    differs = asked != (begun.mode, begun.allow_mass_delete, begun.since)
    if differs or (request.full_refresh and not begun.full_refresh) or begun.replay_of or begun.undo_of:
        raise Conflict(
            f"Another run of {request.sync} is in flight and was asked for something else",
            error_code="RUN_IN_FLIGHT",
            details={"sync_id": begun.sync_id},
        )
    return replace(answer_in_flight(begun, clock, f"A run of {request.sync}"), estimate=request.estimate)


def live_run(session: Session, sync: str, organization_id: str) -> Run | None:
    """The run in flight; there is at most one, beside which dry runs do not count."""
    live = (Run.dry_run.is_(False), Run.status.in_((RunStatus.STARTING, RunStatus.RUNNING)))
    query = select(Run).where(Run.sync == sync, Run.organization_id == organization_id, *live)
    return session.execute(query).scalar_one_or_none()


def answer_in_flight(run: Run, clock: Clock, what: str) -> Triggered:
    """The answer that names a run in flight which does what was asked for."""
    return Triggered(
        sync=run.sync,
        sync_id=run.sync_id,
        sync_started=False,
        organization_id=run.organization_id,
        queue=find_sync(run.sync).queue,
        started_at=show_time(run.started_at) if run.started_at else None,
        message=f"{what} is already in flight ({RunStatus(run.status)}); nothing was started",
        timestamp=show_time(clock()),
    )


def _values(sync: Sync, request: RunRequest, answer: Triggered, mode: str) -> Mapping[str, Any]:
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
        "actor": request.actor and request.actor.name,
        "request_id": request.actor and request.actor.request_id,
        "asked": show_request(request, mode),
        "retry_of": request.retry_of,
        "replay_of": request.replay_of,
        "undo_of": request.undo_of,
        "asks_nobody": request.asks_nobody(sync),
        "ignores_switch": _ignores_switch(sync, request),
        "provider": sync.provider,
    }


def _ignores_switch(sync: Sync, request: RunRequest) -> bool:
    """Where each organization has a source of its own, the schedule's switch is for all of them, and for the clock.

    Who undoes a run has often switched the sync off before.
    """
    return request.force or request.dry_run or sync.provider is not None or request.undo_of is not None


def _check_allowed(sync: Sync, request: RunRequest, attempt: Attempt) -> None:
    """Raises SyncDisabled, CredentialsMissing, CircuitOpen."""
    if attempt.disabled and not _ignores_switch(sync, request):
        raise SyncDisabled(
            f"The sync {request.sync} is disabled; enable it with PATCH /api/v1/schedules/{request.sync} "
            f'and {{"enabled": true}}, or with syncapp schedules set {request.sync} --enable'
        )
    if request.asks_nobody(sync):
        return
    if not attempt.admitted:
        why = missing if attempt.admitted is None else refused
        raise why(attempt.answer.organization_id, str(sync.provider))
    if attempt.wait is not None and not request.force:
        raise CircuitOpen(
            f"The source of {request.sync} could not be reached several times in a row; it is left alone for a while. "
            "Wait, or force the run",
            retry_after=float(ceil(attempt.wait)),
        )
