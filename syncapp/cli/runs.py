"""Looking at runs, and steering them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from syncapp.cli.context import Decorated, Moment, connect, json_option, organization_option
from syncapp.cli.output import emit, note, seconds_text, show_table
from syncapp.cli.results import document_of, first_changes, show_changes, show_run, status_of
from syncapp.cli.sync import follow, hand_over
from syncapp.commands import cancel_run, replay_errors, retry_run, undo_run
from syncapp.engine.runtime import utc_now
from syncapp.queries import RunFilter, RunView, get_run, list_errors, list_runs
from syncapp.records import RunStatus, Trigger

COLUMNS = ("RUN", "SYNC", "STATUS", "STARTED", "TOOK", "PROCESSED", "CHANGED", "FAILED")
wait_option = click.option("--wait", is_flag=True, help="Follow the run to its end; the exit code is its own then.")


def limit_option(default: int, longest: int) -> Callable[[Decorated], Decorated]:
    return click.option("--limit", type=click.IntRange(1, longest), default=default, show_default=True)


@click.command("runs")
@click.option("--sync", help="Those of one sync.")
@click.option("--status", type=click.Choice([status.value for status in RunStatus]))
@click.option("--trigger", type=click.Choice([trigger.value for trigger in Trigger]))
@click.option("--since", type=Moment(), help="Asked for at this time or later (2025-06-30T12:00:00Z, 2h, 7d).")
@limit_option(10, 100)
@click.option("--cursor", help="The next page: what the page before called next_cursor.")
@organization_option
@json_option
def runs(organization: str | None, limit: int, cursor: str | None, **wanted: Any) -> None:
    """List runs, newest first."""
    app = connect(organization)
    page = list_runs(app.database, app.scope, RunFilter(**wanted), limit=limit, cursor=cursor)

    def show() -> None:
        show_table(COLUMNS, [_line(run) for run in page.items], empty="There is no such run yet.")
        if page.next_cursor:
            note(f"{len(page.items)} of {page.total:,} runs; the next ones: --cursor {page.next_cursor}")

    emit(page, show)


@click.command("run")
@click.argument("sync_id")
@click.option("--changes", is_flag=True, help="Show what it changed, or as a dry run would have changed.")
@limit_option(100, 1_000_000)
@wait_option
@json_option
def run(sync_id: str, changes: bool, limit: int, wait: bool) -> None:
    """Show one run."""
    app = connect(everyone=True)
    found = get_run(app.database, app.scope, sync_id)
    if wait:
        follow(app, sync_id, changes=limit)
        return
    document = document_of(found)
    listed = first_changes(app, sync_id, limit) if changes else None
    if listed:
        document["changes"] = asdict(listed)

    def show() -> None:
        show_run(found)
        if listed:
            show_changes(listed, sync_id)

    emit(document, show)


@click.command("cancel")
@click.argument("sync_id")
@json_option
def cancel(sync_id: str) -> None:
    """Stop a run at its next page."""
    app = connect(everyone=True)
    status = cancel_run(app.database, app.scope, sync_id, app.actor)
    message = "The run was cancelled" if status == RunStatus.CANCELLED else "The run stops at its next page"
    answer = {"message": message, "sync_id": sync_id, "status": status, "timestamp": datetime.now(UTC)}
    emit(answer, lambda: click.echo(f"{message}: {sync_id}"))


@click.command("retry")
@click.argument("sync_id")
@wait_option
@json_option
def retry(sync_id: str, wait: bool) -> None:
    """Go on with a failed or cancelled run from its checkpoint, as a new run that a worker does."""
    app = connect(everyone=True)
    hand_over(app, retry_run(app.database, app.scope, app.settings, utc_now, sync_id, app.actor), wait=wait)


@click.command("errors")
@click.argument("sync_id")
@limit_option(20, 1_000)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@json_option
def errors(sync_id: str, limit: int, offset: int) -> None:
    """List the records of a run that failed, and why."""
    app = connect(everyone=True)
    found = list_errors(app.database, app.scope, sync_id, limit=limit, offset=offset)

    def show() -> None:
        names = ("id", "stream", "external_id", "error_type", "message", "replayable", "replayed_at")
        rows = [[getattr(one, name) for name in names] for one in found.items]
        columns = ("ID", "STREAM", "RECORD", "TYPE", "REASON", "REPLAYABLE", "REPLAYED")
        show_table(columns, rows, empty="No record failed.", fold=True)
        if not all(one.replayable for one in found.items):
            note("What is not replayable could only be stored altered: a full refresh reads it again")
        if found.total > offset + len(rows):
            note(f"{found.total:,} in all; the next ones: --offset {offset + len(rows)}. --json shows the records")

    emit(found, show)


@click.command("replay")
@click.argument("sync_id")
@wait_option
@json_option
def replay(sync_id: str, wait: bool) -> None:
    """Try the failed records of a run again, as a new run that a worker does."""
    app = connect(everyone=True)
    hand_over(app, replay_errors(app.database, app.scope, app.settings, utc_now, sync_id, app.actor), wait=wait)


@click.command("undo")
@click.argument("sync_id")
@wait_option
@json_option
def undo(sync_id: str, wait: bool) -> None:
    """Put back what a run changed, where nobody has changed the same since, as a new run that a worker does."""
    app = connect(everyone=True)
    hand_over(app, undo_run(app.database, app.scope, app.settings, utc_now, sync_id, app.actor), wait=wait)


def _line(run: RunView) -> tuple[object, ...]:
    marks = [mark for mark, there in (("dry run", run.dry_run), ("GENERATED", run.source == "mock")) if there]
    ended = run.completed_at or (None if run.started_at is None else datetime.now(UTC))
    took = (ended - run.started_at).total_seconds() if ended and run.started_at else None
    status = status_of(run) + (f" ({', '.join(marks)})" if marks else "")
    changed = run.records_created + run.records_updated + run.records_deleted
    counts = (run.records_processed, changed, run.records_failed)
    return (run.sync_id, run.sync, status, run.started_at, seconds_text(took), *counts)
