"""Who did what, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_

from syncapp.db import Database
from syncapp.models import AuditEntry
from syncapp.queries.paging import read_cursor, write_cursor
from syncapp.records import Json
from syncapp.scope import Scope


@dataclass(frozen=True, slots=True)
class AuditView:
    """An entry. `details` is a JSON object, without secrets."""

    at: datetime
    actor: str
    organization_id: str | None
    action: str
    target: str | None
    request_id: str | None
    details: Json


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; None takes all."""

    actor: str | None = None
    action: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    items: Sequence[AuditView]
    total: int
    next_cursor: str | None


NAMES = [field.name for field in fields(AuditView)]
COLUMNS = [getattr(AuditEntry, name) for name in (*NAMES, "id")]


def list_audit(
    db: Database, scope: Scope, wanted: AuditFilter, *, limit: int = 10, cursor: str | None = None
) -> AuditPage:
    """`cursor` is a page's `next_cursor`; entries that come meanwhile do not shift the pages.

    Raises ValidationFailed (cursor).
    """
    conditions = _conditions(scope, wanted)
    query = select(*COLUMNS).where(*conditions).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
    if cursor is not None:
        query = query.where(tuple_(AuditEntry.at, AuditEntry.id) < read_cursor(cursor, int))
    with db.session(scope) as session:
        total = session.execute(select(func.count()).select_from(AuditEntry).where(*conditions)).scalar_one()
        rows = session.execute(query.limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    items = [AuditView(**{name: getattr(row, name) for name in NAMES}) for row in rows[:limit]]
    return AuditPage(items, total, write_cursor(last.at, last.id) if last else None)


def _conditions(scope: Scope, wanted: AuditFilter) -> list[ColumnElement[bool]]:
    named: list[tuple[Any, str | None]] = [
        (AuditEntry.organization_id, scope.organization_id),
        (AuditEntry.actor, wanted.actor),
        (AuditEntry.action, wanted.action),
    ]
    found = [column == value for column, value in named if value is not None]
    return found if wanted.since is None else [*found, AuditEntry.at >= wanted.since]
