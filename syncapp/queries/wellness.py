"""How clients and appointments stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import Appointment, Client, Organization
from syncapp.queries.health import worst
from syncapp.queries.history import History, read_history
from syncapp.queries.syncs import ScheduleView, health_levels, read_schedules, view_schedule
from syncapp.records import HealthLevel
from syncapp.registry import find_sync
from syncapp.scope import Scope

TABLES: Mapping[str, type[Client] | type[Appointment]] = {"clients": Client, "appointments": Appointment}
STATUSES = ("pending", "syncing", "synced", "error")


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One of the two tables. `counts` are those of `count_rows`."""

    counts: dict[str, int]
    last_run_at: datetime | None
    last_success_at: datetime | None
    freshness_seconds: float | None
    success_rate_24h: float | None
    success_rate_7d: float | None
    source: str | None


@dataclass(frozen=True, slots=True)
class WellnessStatus:
    clients: ResourceStatus
    appointments: ResourceStatus
    scheduled_jobs: list[ScheduleView]
    health: HealthLevel


def wellness_status(db: Database, scope: Scope, settings: Settings, now: datetime) -> WellnessStatus:
    """For the scope's organization. `health` is the worse of the two; `stopped` where neither is to run.

    Raises NotFound (organization).
    """
    syncs = tuple(find_sync(name) for name in TABLES)
    with db.session(scope) as session:
        if session.get(Organization, scope.organization_id) is None:
            raise NotFound(f"There is no organization {scope.organization_id}")
        histories = read_history(session, list(TABLES), now)
        schedules = read_schedules(session)
        resources = {name: _resource(session, name, histories[name], now) for name in TABLES}
    levels = health_levels(syncs, settings, histories, schedules, now)
    return WellnessStatus(
        **resources,
        scheduled_jobs=[view_schedule(sync, schedules.get(sync.name), settings) for sync in syncs],
        health=worst(levels) if levels else HealthLevel.STOPPED,
    )


def count_rows(db: Database, scope: Scope) -> dict[str, dict[str, int]]:
    """Of each table the rows that are not deleted, by sync_status: `total` of those, and beside them the `mock` ones.

    `pending` is a row that others refer to and that its own sync has not brought.
    """
    with db.session(scope) as session:
        return {name: _count(session, name) for name in TABLES}


def _count(session: Session, name: str) -> dict[str, int]:
    """Two counts in one statement, so that each is answered by an index of its own, at the same moment."""
    table = TABLES[name]
    rows = select(table.sync_status, func.count().label("number")).where(table.deleted_at.is_(None))
    rows = rows.group_by(table.sync_status)
    counted = union_all(
        rows.add_columns(literal(False).label("is_mock")),
        rows.where(table.is_mock).add_columns(literal(True).label("is_mock")),
    )
    found = {(row.sync_status, row.is_mock): row.number for row in session.execute(counted)}
    counts = {status: found.get((status, False), 0) - found.get((status, True), 0) for status in STATUSES}
    mock = sum(number for (_, is_mock), number in found.items() if is_mock)
    return counts | {"total": sum(counts.values()), "mock": mock}


def _resource(session: Session, name: str, history: History, now: datetime) -> ResourceStatus:
    return ResourceStatus(
        counts=_count(session, name),
        last_run_at=history.last_run_at,
        last_success_at=history.last_success_at,
        freshness_seconds=history.freshness_seconds(now),
        success_rate_24h=history.success_rate_24h,
        success_rate_7d=history.success_rate_7d,
        source=history.source,
    )
