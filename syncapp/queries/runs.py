"""Runs, and what is kept about each: its changes, its failed records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.orm import Session

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import DeadLetter, Run, RunChange
from syncapp.queries.paging import Listed, read_cursor, write_cursor
from syncapp.records import Json
from syncapp.registry import SYNCS
from syncapp.scope import Scope


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed: what the HTTP error would have said."""

    error_type: str
    error_code: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the contract shows it. `steps` is a list of JSON objects, one a stream."""

    sync_id: str
    sync: str
    organization_id: str
    mode: str
    trigger: str
    status: str
    source: str
    dry_run: bool
    started_at: datetime | None
    completed_at: datetime | None
    resume_at: datetime | None
    records_processed: int
    records_created: int
    records_updated: int
    records_unchanged: int
    records_deleted: int
    records_failed: int
    attempt: int
    steps: list[Json]
    error: RunError | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None takes all. `since` is the time a run was asked for, at the earliest."""

    sync: str | None = None
    status: str | None = None
    trigger: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    items: Sequence[RunView]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ChangeList(Listed):
    """`kept` is false where runs of the sync keep no changes: none is listed then, whatever the run changed."""

    kept: bool


PLAIN = [field.name for field in fields(RunView) if field.name != "error"]
COLUMNS = [getattr(Run, name) for name in (*PLAIN, "error_type", "error_code", "error_message", "created_at")]


def get_run(db: Database, scope: Scope, sync_id: str) -> RunView:
    """Raises NotFound: unknown, or another organization's."""
    with db.session(scope) as session:
        row = session.execute(select(*COLUMNS).where(Run.sync_id == sync_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {sync_id}")
    return _view(row)


def list_runs(db: Database, scope: Scope, wanted: RunFilter, *, limit: int = 10, cursor: str | None = None) -> RunPage:
    """Newest first. `cursor` is a page's `next_cursor`; runs that start meanwhile do not shift the pages.

    Raises ValidationFailed (cursor).
    """
    query = _filtered(select(*COLUMNS), wanted)
    if cursor is not None:
        query = query.where(tuple_(Run.created_at, Run.sync_id) < read_cursor(cursor, str))
    with db.session(scope) as session:
        total = session.execute(_filtered(select(func.count()).select_from(Run), wanted)).scalar_one()
        rows = session.execute(query.order_by(Run.created_at.desc(), Run.sync_id.desc()).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    more = write_cursor(last.created_at, last.sync_id) if last else None
    return RunPage([_view(row) for row in rows[:limit]], total, more)


def list_changes(db: Database, scope: Scope, sync_id: str, *, limit: int = 10, offset: int = 0) -> ChangeList:
    """What the run changed, or, for a dry run, would change; in the order it was done. Raises NotFound.

    Items: stream, external_id, operation (created, updated, deleted), before, after: what differs, by field
    (`address.city`); None for a row that came or left, of which a dry run tells the content.
    """
    columns = (RunChange.stream, RunChange.external_id, RunChange.operation, RunChange.before, RunChange.after)
    with db.session(scope) as session:
        run = session.execute(select(Run.sync, Run.dry_run).where(Run.sync_id == sync_id)).one_or_none()
        if run is None:
            raise NotFound(f"There is no run {sync_id}")
        kept = run.dry_run or any(one.name == run.sync and one.policy.record_changes for one in SYNCS)
        total = session.execute(select(func.count()).where(RunChange.sync_id == sync_id)).scalar_one()
        query = select(*columns).where(RunChange.sync_id == sync_id).order_by(RunChange.id)
        return ChangeList(session.execute(query.limit(limit).offset(offset)).all(), total, kept)


def list_errors(db: Database, scope: Scope, sync_id: str, *, limit: int = 10, offset: int = 0) -> Listed:
    """The run's failed records, in the order they failed. Raises NotFound.

    Items: id, stream, external_id, error_type, message, record (JSON), replayable (whether that is what the source
    sent), created_at, replayed_at.
    """
    columns = (
        DeadLetter.id,
        DeadLetter.stream,
        DeadLetter.external_id,
        DeadLetter.error_type,
        DeadLetter.message,
        DeadLetter.record,
        DeadLetter.replayable,
        DeadLetter.created_at,
        DeadLetter.replayed_at,
    )
    with db.session(scope) as session:
        _check_exists(session, sync_id)
        counted = select(func.count()).select_from(DeadLetter).where(DeadLetter.sync_id == sync_id)
        query = select(*columns).where(DeadLetter.sync_id == sync_id).order_by(DeadLetter.id)
        rows = session.execute(query.limit(limit).offset(offset)).all()
        return Listed(rows, session.execute(counted).scalar_one())


def _check_exists(session: Session, sync_id: str) -> None:
    if session.execute(select(Run.sync_id).where(Run.sync_id == sync_id)).scalar() is None:
        raise NotFound(f"There is no run {sync_id}")


def _filtered(query: Select[Any], wanted: RunFilter) -> Select[Any]:
    for column, value in ((Run.sync, wanted.sync), (Run.status, wanted.status), (Run.trigger, wanted.trigger)):
        if value is not None:
            query = query.where(column == value)
    return query if wanted.since is None else query.where(Run.created_at >= wanted.since)


def _view(row: Row[Any]) -> RunView:
    error = RunError(row.error_type, row.error_code, row.error_message) if row.error_type else None
    return RunView(**{name: getattr(row, name) for name in PLAIN}, error=error)
