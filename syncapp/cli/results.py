"""How a run ended, shown; and the exit code that follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from syncapp.cli.context import App
from syncapp.cli.failures import Failed
from syncapp.cli.first_sync import outcome
from syncapp.cli.output import emit, note, plain, show_fields, show_table
from syncapp.queries import Listed, RunView, get_run, list_changes
from syncapp.records import RunStatus

HINTS = {  # by error code, else by error type
    "CREDENTIALS_REFUSED": "correct the key that the source is asked with, such as MOCK_API_KEY",
    "PERMISSION_MISSING": "have the key's user permitted to read that, at the source",
    "mass_delete_refused": "here: --full-refresh --allow-mass-delete",
    "internal_error": "set LOG_LEVEL=ERROR to see them here",
}
# What may go better the next time, from where this one stopped.
PASSING = frozenset({"api_connection_failed", "rate_limit_exceeded", "database_error", "stale", "cancelled"})
PAGE = 1_000


def finish(app: App, sync_id: str, *, changes: int = 0) -> None:
    """Shows how a run has ended, a dry run with its first `changes` differences. Raises Failed unless it completed."""
    run = get_run(app.database, app.scope, sync_id)
    document: dict[str, Any] = document_of(run)
    found = first_changes(app, sync_id, changes) if run.dry_run else None
    if found is not None:
        document["changes"] = {"items": found.items, "total": found.total}
    if run.status != RunStatus.COMPLETED:
        raise _failure(run, document)

    def show() -> None:
        if found is not None:
            show_changes(found, sync_id)
        click.echo(("dry run, nothing was changed: " if run.dry_run else "") + plain(outcome(run.sync, document)))
        if run.records_failed:
            note(f"The records that failed: syncapp errors {sync_id}")

    emit(document, show)


def document_of(run: RunView) -> dict[str, Any]:
    """The run's JSON, as in the API."""
    return asdict(run)


def first_changes(app: App, sync_id: str, limit: int) -> Listed:
    """The run's first `limit` changes, and how many there are."""
    found = list_changes(app.database, app.scope, sync_id, limit=min(limit, PAGE))
    items = list(found.items)
    while len(items) < min(limit, found.total):
        size = min(limit - len(items), PAGE)
        items += list_changes(app.database, app.scope, sync_id, limit=size, offset=len(items)).items
    return Listed(items, found.total)


NO_CHANGES = "Nothing differs, or no changes are kept: of dry runs they are, of other runs where the sync says so."


def show_changes(found: Listed, sync_id: str) -> None:
    rows = [
        (item.operation, item.stream, item.external_id, _difference(item.before, item.after)) for item in found.items
    ]
    show_table(("CHANGE", "STREAM", "RECORD", "FIELDS"), rows, empty=NO_CHANGES, fold=True)
    if found.total > len(found.items):
        note(
            f"The first {len(found.items):,} of {found.total:,}: syncapp run {sync_id} --changes --limit {found.total}"
        )


def _difference(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """`name: Ann -> Anna`, the fields that differ; of a record that a dry run would create or delete, all it holds."""
    old, new = before or {}, after or {}
    if before is None:
        return ", ".join(f"{name}: {_short(value)}" for name, value in new.items() if value is not None)
    if after is None:
        return ", ".join(f"{name}: {_short(value)}" for name, value in old.items() if value is not None)
    return ", ".join(f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}" for name in {**old, **new})


def _short(value: object, longest: int = 60) -> str:
    text = plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _failure(run: RunView, document: dict[str, Any]) -> Failed:
    error_type, error_code = (run.error.error_type, run.error.error_code or "") if run.error else ("", "")
    hint = HINTS.get(error_code) or HINTS.get(error_type)
    message = plain(outcome(run.sync, document)) + (f" ({hint})" if hint else "")
    if error_type in PASSING and not hint and not run.dry_run:
        message += f"; syncapp retry {run.sync_id} goes on from its checkpoint"
    return Failed(message, document=document)


def status_of(run: RunView) -> str:
    """`running, waits until 2025-06-30 12:00:00Z` where the run has a time before it."""
    if run.resume_at is None or run.resume_at <= datetime.now(UTC):
        return run.status
    return f"{run.status}, waits until {plain(run.resume_at)}"


def show_run(run: RunView) -> None:
    """All about one run, for people."""
    shown: dict[str, object] = {
        "run": run.sync_id,
        "sync": run.sync,
        "organization": run.organization_id,
        "status": status_of(run),
        "mode": run.mode + (" (dry run)" if run.dry_run else ""),
        "trigger": run.trigger,
        "source": run.source,
        "attempt": run.attempt,
        "started": run.started_at,
        "ended": run.completed_at,
        "processed": run.records_processed,
        "created": run.records_created,
        "updated": run.records_updated,
        "unchanged": run.records_unchanged,
        "deleted": run.records_deleted,
        "failed": run.records_failed,
        "request": run.request_id,
    }
    if run.error:
        shown["error"] = f"{run.error.error_type} ({run.error.error_code}): {run.error.message}"
    for step in run.steps:
        name = f"step {step['name']}"
        shown[name] = f"{step['status']}, {step['records_processed']:,} records, {step['pages']:,} pages"
        if step.get("note"):
            shown[f"{name} note"] = step["note"]
    show_fields({name: value for name, value in shown.items() if value not in (None, "")})
