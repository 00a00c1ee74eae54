"""Starting runs: `syncapp sync` in this process, `syncapp trigger` through the queue."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import click

from syncapp.cli.context import App, Decorated, Moment, connect, json_option, organization_option
from syncapp.cli.failures import Failed
from syncapp.cli.follow import Display, Follower
from syncapp.cli.here import Here, Interrupted
from syncapp.cli.output import emit, note
from syncapp.cli.results import document_of, finish
from syncapp.commands import RunRequest, Triggered, cancel_run, leave_to_sweep, trigger_run
from syncapp.engine.runtime import utc_now
from syncapp.errors import CircuitOpen, Conflict, SyncDisabled
from syncapp.queries import get_progress, get_run, readiness
from syncapp.records import Trigger
from syncapp.sweep import reap

CHANGES = 100


def run_options(command: Decorated) -> Decorated:
    """What may be asked of a new run."""
    options: list[Callable[[Decorated], Decorated]] = [
        click.option("--mode", help="Which streams and filters it takes; `syncapp syncs` lists them."),
        click.option("--full-refresh", is_flag=True, help="Read everything, not only what changed."),
        click.option("--dry-run", is_flag=True, help="Change nothing; show what would be changed, field by field."),
        click.option("--since", type=Moment(), help="Read what changed since then (2025-06-30T12:00:00Z, 2h, 7d)."),
        click.option("--force", is_flag=True, help="Even where its schedule is disabled or its circuit is open."),
        click.option("--allow-mass-delete", is_flag=True, help="Delete however many records have vanished, this once."),
        organization_option,
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


limit_option = click.option(
    "--limit", type=click.IntRange(0), default=CHANGES, show_default=True, help="How many differences a dry run shows."
)


@click.command("sync")
@click.argument("name")
@run_options
@limit_option
def sync(name: str, organization: str | None, limit: int, **asked: Any) -> None:
    """Run the sync NAME in this process and show how it goes. Needs PostgreSQL, but no Redis and no worker.

    Ctrl-C ends it at its next page; a worker, or the same command once more, goes on from there.
    """
    app = connect(organization)
    reap(app.database, app.settings)
    started = start(app, name, **asked)
    if not started.sync_started:
        _take_over(app, started)
    with Display() as display:
        here = Here(Follower(app, started.sync_id, display))
        try:
            here.work()
        except Interrupted as error:
            raise _released(app, started, error) from None
    finish(app, started.sync_id, changes=limit)


@click.command("trigger")
@click.argument("name")
@run_options
@click.option("--wait", is_flag=True, help="Follow the run to its end; the exit code is its own then.")
@limit_option
def trigger(name: str, organization: str | None, wait: bool, limit: int, **asked: Any) -> None:
    """Ask for a run of the sync NAME; a worker does it.

    It is kept in PostgreSQL and sent by the workers themselves, so that Redis may be away.
    """
    app = connect(organization)
    hand_over(app, start(app, name, **asked), wait=wait, changes=limit)


def start(app: App, name: str, **asked: Any) -> Triggered:
    """A new run, or the one in flight where it was asked for the same. `asked` is what `run_options` read.

    Raises what `trigger_run` raises, in the words of the command line.
    """
    trigger = Trigger.FORCE if asked["force"] else Trigger.MANUAL
    request = RunRequest(name, trigger=trigger, actor=app.actor, **asked)
    try:
        return trigger_run(app.database, app.scope, app.settings, utc_now, request)
    except SyncDisabled:
        raise SyncDisabled(
            f"The sync {name} is disabled: --force runs it once, `syncapp schedules set {name} --enable` switches it on"
        ) from None
    except CircuitOpen as error:
        message = f"The source of {name} could not be reached several times in a row; --force asks it all the same"
        raise CircuitOpen(message, retry_after=error.retry_after) from None
    except Conflict as error:
        sync_id = error.details.get("sync_id")
        way_out = f"; `syncapp cancel {sync_id}` stops it" if sync_id else ""
        raise Conflict(error.message + way_out, error_code=error.error_code, details=error.details) from None


def hand_over(app: App, started: Triggered, *, wait: bool, changes: int = CHANGES) -> None:
    """Leaves a new run to the workers. With `wait` follows it: raises Failed unless it completes."""
    if started.sync_started:
        leave_to_sweep(app.database, started.sync_id)
    if readiness(app.database, app.settings, (started.queue,)).queues[started.queue] != "ok":
        note(f"No worker drains the queue {started.queue}: the run waits for one. `make up` or `syncapp up` starts all")
    if wait:
        follow(app, started.sync_id, changes=changes)
        return
    emit(started.answer(sync=started.sync), lambda: click.echo(f"{started.message}: {started.sync_id}"))


def follow(app: App, sync_id: str, *, changes: int = CHANGES) -> None:
    """Shows a run that somebody else works on until its end. Raises Failed unless it completes."""
    try:
        with Display() as display:
            Follower(app, sync_id, display).follow()
    except KeyboardInterrupt:
        run = get_run(app.database, app.scope, sync_id)
        message = f"Not followed any more, the run goes on: syncapp run {sync_id} --wait, syncapp cancel {sync_id}"
        raise Failed(message, document=document_of(run), exit_code=130) from None
    finish(app, sync_id, changes=changes)


def _take_over(app: App, found: Triggered) -> None:
    """A run was in flight already. One that nobody works on is ours to do. Raises Failed where somebody does."""
    seen = get_progress(app.database, app.scope, found.sync_id)
    if seen.held_by is not None:
        raise Failed(
            f"A run of {found.sync} is in flight already, {seen.held_by} works on it: "
            f"`syncapp run {found.sync_id} --wait` follows it, `syncapp cancel {found.sync_id}` stops it",
            error_type=Conflict.error_type,
            error_code="RUN_IN_FLIGHT",
            details={"sync_id": found.sync_id},
        )
    note(f"Going on with {found.sync_id}, which nobody works on")


def _released(app: App, started: Triggered, error: Interrupted) -> Failed:
    """What is said after a signal. A dry run has nothing to go on with: it is cancelled."""
    run = get_run(app.database, app.scope, started.sync_id)
    if run.dry_run:
        with contextlib.suppress(Conflict):
            cancel_run(app.database, app.scope, started.sync_id, app.actor)
        message = f"{error}: the dry run was cancelled; nothing was changed"
    else:
        message = (
            f"{error}: {started.sync_id} stopped after {run.records_processed:,} records and goes on from there: "
            f"with a worker, or with `syncapp sync {run.sync}`"
        )
    run = get_run(app.database, app.scope, started.sync_id)
    return Failed(message, document=document_of(run), exit_code=error.exit_code)
