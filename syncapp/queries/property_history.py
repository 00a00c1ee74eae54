"""What is kept of the properties' sync over time: its runs as `sync_logs`, its settings, each property's changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.queries.paging import Listed
from syncapp.records import Json
from syncapp.scope import EVERYONE, Scope

# The views hold everybody's rows, and the session binds tables alone: these name the organization themselves.
LOGS = text("""
SELECT id, sync_id, sync_type, status, started_at, completed_at, total_properties, updated_properties,
       failed_properties, error_message, created_at
FROM sync_logs WHERE organization_id = :organization_id
ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :offset""")
COUNT_LOGS = text("SELECT count(*) FROM sync_logs WHERE organization_id = :organization_id")
SETTINGS = text("SELECT setting_key, setting_value, description, updated_at FROM sync_settings ORDER BY id")

# One row a field that differs; one, without a field, of a change that says no more than that there was one.
CHANGES = """
FROM run_changes c JOIN sync_runs r ON r.sync_id = c.sync_id
LEFT JOIN LATERAL (
    SELECT jsonb_object_keys(CASE WHEN jsonb_typeof(c.before) = 'object' THEN c.before ELSE '{}' END
        || CASE WHEN jsonb_typeof(c.after) = 'object' THEN c.after ELSE '{}' END) AS field
) f ON true
WHERE c.external_id = :external_id AND c.stream = 'properties'
  AND r.sync = 'properties' AND NOT r.dry_run AND r.organization_id = :organization_id"""
LIST_CHANGES = text(f"""
SELECT c.sync_id, coalesce(r.started_at, r.created_at) AS changed_at, c.operation, f.field,
       c.before -> f.field AS old, c.after -> f.field AS new
{CHANGES} ORDER BY c.id DESC, f.field COLLATE "C" LIMIT :limit OFFSET :offset""")
COUNT_CHANGES = text(f"SELECT count(*) {CHANGES}")
FOLLOWED = text("SELECT 1 FROM properties WHERE organization_id = :organization_id AND external_id = :external_id")


@dataclass(frozen=True, slots=True)
class SyncLog:
    """A run of the properties' sync as `sync_logs` has it, dry runs left out."""

    id: int
    sync_id: str
    sync_type: str
    status: str
    started_at: datetime
    completed_at: datetime | None
    total_properties: int
    updated_properties: int
    failed_properties: int
    error_message: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SettingView:
    setting_key: str
    setting_value: str
    description: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """A field of a property before and after; no field where the property came or went as a whole.

    `changed_at` is when the run began that found the change.
    """

    sync_id: str
    changed_at: datetime
    operation: str  # created | updated | deleted
    field: str | None
    old: Json
    new: Json


def list_logs(db: Database, scope: Scope, *, limit: int = 10, offset: int = 0) -> Listed:
    """The newest first."""
    wanted = {"organization_id": scope.organization_id}
    with db.session(scope) as session:
        rows = session.execute(LOGS, wanted | {"limit": limit, "offset": offset}).all()
        return Listed([SyncLog(*row) for row in rows], session.execute(COUNT_LOGS, wanted).scalar_one())


def list_settings(db: Database) -> list[SettingView]:
    """Those that are there; `complete_settings` sees to it that all are."""
    with db.session(EVERYONE) as session:
        return [SettingView(*row) for row in session.execute(SETTINGS)]


def list_property_changes(db: Database, scope: Scope, property_id: int, *, limit: int = 10, offset: int = 0) -> Listed:
    """The newest first, the fields of one change by name. Raises NotFound: neither followed nor ever changed."""
    wanted = {"organization_id": scope.organization_id, "external_id": str(property_id)}
    with db.session(scope) as session:
        total = session.execute(COUNT_CHANGES, wanted).scalar_one()
        if not total and not _is_followed(session, wanted):
            raise NotFound(f"There is no property {property_id}")
        rows = session.execute(LIST_CHANGES, wanted | {"limit": limit, "offset": offset}).all()
        return Listed([PropertyChange(*row) for row in rows], total)


def _is_followed(session: Session, wanted: dict[str, Any]) -> bool:
    return session.execute(FOLLOWED, wanted).first() is not None
