"""How an organization's own source stands: its connection, its schedule, its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Float, Select, func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import ClinikoAppointment, Credential, Organization, Patient, Run, Schedule
from syncapp.queries.history import COUNTS
from syncapp.queries.readiness import is_ticking
from syncapp.queries.syncs import list_syncs
from syncapp.records import UNFINISHED, Json, RunStatus
from syncapp.scope import EVERYONE, Scope
from syncapp.syncs.cliniko import CLINIKO, PROVIDER
from syncapp.turns import due_modes, turn_of

NOT_CONFIGURED = "not_configured"
OF_CLINIKO = (Run.sync == CLINIKO.name, *COUNTS)


@dataclass(frozen=True, slots=True)
class ClinikoStatus:
    """`last_sync` is the last success; `sync_status` the sync's health, `not_configured` without credentials."""

    organization_id: str
    cliniko_connected: bool
    api_region: str | None
    last_sync: datetime | None
    total_patients: int
    sync_enabled: bool
    credentials_valid: bool
    sync_status: str


@dataclass(frozen=True, slots=True)
class SchedulerStatus:
    """`scheduler_active`: a scheduler has ticked lately and the schedule is switched on."""

    organization_id: str
    sync_running: bool
    last_sync_time: datetime | None
    next_sync_time: datetime | None
    scheduler_active: bool
    message: str


@dataclass(frozen=True, slots=True)
class PastRun:
    """One of the latest runs. `metadata` holds the mode and what was processed of each stream."""

    sync_id: str
    started_at: datetime | None
    completed_at: datetime | None
    status: str
    records_processed: int
    records_success: int
    records_failed: int
    metadata: dict[str, Json]


@dataclass(frozen=True, slots=True)
class SyncHistory:
    """Of all runs but dry runs and replays; the durations are those of the completed ones, in seconds."""

    organization_id: str
    total_syncs: int
    successful_syncs: int
    failed_syncs: int
    last_sync_at: datetime | None
    last_successful_sync_at: datetime | None
    average_sync_duration_seconds: float | None
    recent_syncs: Sequence[PastRun]


@dataclass(frozen=True, slots=True)
class CredentialView:
    """What is stored, without the secret. `valid` is what its source said last."""

    organization_id: str
    provider: str
    region: str | None
    valid: bool
    checked_at: datetime
    updated_at: datetime


def list_credentials(db: Database) -> list[CredentialView]:
    """Everybody's, by organization."""
    columns = [getattr(Credential, field.name) for field in fields(CredentialView)]
    with db.session(EVERYONE) as session:
        rows = session.execute(select(*columns).order_by(Credential.organization_id, Credential.provider)).all()
    return [CredentialView(*row) for row in rows]


def cliniko_status(db: Database, scope: Scope, settings: Settings, now: datetime) -> ClinikoStatus:
    """Raises NotFound (organization)."""
    with db.session(scope) as session:
        organization = _organization(session, scope)
        stored = session.get(Credential, (organization.id, PROVIDER))
        total = session.execute(_live(Patient)).scalar_one()
    [view] = [one for one in list_syncs(db, scope, settings, now) if one.name == CLINIKO.name]
    return ClinikoStatus(
        organization_id=organization.id,
        cliniko_connected=stored is not None and stored.valid,
        api_region=stored.region if stored else None,
        last_sync=view.freshness.last_success_at,
        total_patients=total,
        sync_enabled=organization.active and stored is not None and view.schedule.enabled,
        credentials_valid=stored is not None and stored.valid,
        sync_status=view.health or NOT_CONFIGURED,
    )


def scheduler_status(db: Database, scope: Scope, now: datetime) -> SchedulerStatus:
    """Raises NotFound (organization)."""
    with db.session(scope) as session:
        organization = _organization(session, scope)
        row = session.get(Schedule, CLINIKO.name)
        running = select(Run.sync_id).where(*OF_CLINIKO, Run.status.in_(UNFINISHED))
        is_running = session.execute(running.limit(1)).first() is not None
        last = select(func.max(Run.completed_at)).where(*OF_CLINIKO, Run.status == RunStatus.COMPLETED)
        last_completed = session.execute(last).scalar()
        active = row is not None and row.enabled and is_ticking(session)
        turn = turn_of(session, CLINIKO, row, now, organization.id) if row is not None else None
    return SchedulerStatus(
        organization_id=organization.id,
        sync_running=is_running,
        last_sync_time=last_completed,
        next_sync_time=turn,
        scheduler_active=active,
        message=_say(organization, active=active, enabled=row is None or row.enabled, has_turn=turn is not None),
    )


def scheduled_mode(db: Database, scope: Scope, settings: Settings, now: datetime) -> str:
    """What the scheduler would read of the scope's organization now."""
    organization_id = str(scope.organization_id)
    with db.session(scope) as session:
        row = session.get(Schedule, CLINIKO.name) or Schedule(interval_seconds=settings.sync_interval_minutes * 60)
        return due_modes(session, CLINIKO, settings, [organization_id], row, now)[organization_id]


def sync_history(db: Database, scope: Scope, *, limit: int = 10) -> SyncHistory:
    """Raises NotFound (organization)."""
    took = func.extract("epoch", Run.completed_at - Run.started_at)
    completed = Run.status == RunStatus.COMPLETED
    statistics = select(
        func.count().label("total_syncs"),
        func.count().filter(completed).label("successful_syncs"),
        func.count().filter(Run.status == RunStatus.FAILED).label("failed_syncs"),
        func.max(func.coalesce(Run.started_at, Run.created_at)).label("last_sync_at"),
        func.max(Run.started_at).filter(completed).label("last_successful_sync_at"),
        func.round(func.avg(took).filter(completed), 1).cast(Float).label("average_sync_duration_seconds"),
    ).where(*OF_CLINIKO)
    latest = select(Run).where(*OF_CLINIKO).order_by(Run.created_at.desc(), Run.sync_id.desc()).limit(limit)
    with db.session(scope) as session:
        organization = _organization(session, scope)
        found = session.execute(statistics).mappings().one()
        recent = [_past(run) for run in session.scalars(latest)]
    return SyncHistory(organization_id=organization.id, recent_syncs=recent, **found)


def count_cliniko_rows(db: Database, scope: Scope) -> dict[str, int]:
    """Patients and appointments that are not deleted."""
    tables: dict[str, type[Patient | ClinikoAppointment]] = {"patients": Patient, "appointments": ClinikoAppointment}
    with db.session(scope) as session:
        return {name: session.execute(_live(table)).scalar_one() for name, table in tables.items()}


def _live(table: type[Patient] | type[ClinikoAppointment]) -> Select[int]:
    live = (table.deleted_at.is_(None), table.sync_status != "pending")
    return select(func.count()).select_from(table).where(*live)


def _organization(session: Session, scope: Scope) -> Organization:
    found = session.get(Organization, scope.organization_id)
    if found is None:
        raise NotFound(f"There is no organization {scope.organization_id}")
    return found


def _say(organization: Organization, *, active: bool, enabled: bool, has_turn: bool) -> str:
    if not enabled:
        return "The schedule is switched off"
    if not active:
        return "No scheduler has ticked lately: nothing starts by itself"
    if not organization.active:
        return "The organization is not active: nothing starts by itself"
    if not has_turn:
        return "The scheduler ticks, but this organization has no valid credentials: nothing starts by itself"
    return "Scheduler status retrieved successfully"


def _past(run: Run) -> PastRun:
    processed = {f"{step['name']}_processed": step["records_processed"] for step in run.steps}
    return PastRun(
        sync_id=run.sync_id,
        started_at=run.started_at or run.created_at,
        completed_at=run.completed_at,
        status=run.status,
        records_processed=run.records_processed,
        records_success=run.records_processed - run.records_failed,
        records_failed=run.records_failed,
        metadata={"sync_type": run.mode, **processed},
    )
