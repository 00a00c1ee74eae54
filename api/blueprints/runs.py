"""Runs of every sync (contract, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response

from api.auth import caller_is_admin, check_sync, organization, visible
from api.context import actor, services
from api.events.answer import TYPE, answer_events
from api.limits import limited
from api.openapi import Blueprint
from api.schemas import examples
from api.schemas.common import PageArgs
from api.schemas.events import EventSchema, LastEventArgs
from api.schemas.runs import (
    RUN_EXAMPLE,
    TRIGGERED_EXAMPLE,
    CancelledSchema,
    ChangeListSchema,
    DeadLetterListSchema,
    RunListArgs,
    RunListSchema,
    RunRequestSchema,
    RunSchema,
    TriggeredSchema,
)
from api.triggers import idempotency, start
from syncapp import commands, queries
from syncapp.commands import RunRequest, Triggered
from syncapp.errors import Forbidden

blueprint = Blueprint("runs", __name__, url_prefix="/api/v1/runs", description="Runs of every sync")
ONE = "/<sync_id:sync_id>"


@blueprint.get("")
@blueprint.arguments(RunListArgs(), location="query")
@blueprint.response(200, RunListSchema, example={"items": [RUN_EXAMPLE], "total": 1, "next_cursor": None})
@blueprint.alt_response(404, "NOT_FOUND")
def list_runs(args: dict[str, Any]) -> queries.RunPage:
    """Runs, newest first"""
    scope = visible(organization_id=args.pop("organization_id", None))
    page = {name: args.pop(name) for name in ("limit", "cursor") if name in args}
    return queries.list_runs(services().database, scope, queries.RunFilter(**args), **page)


@blueprint.post("")
@blueprint.arguments(RunRequestSchema(), example={"sync": "clients", "full_refresh": True})
@blueprint.response(202, TriggeredSchema, example=TRIGGERED_EXAMPLE)
@limited
def start_run(body: dict[str, Any]) -> Triggered:
    """Start a run"""
    scope = organization(organization_id=body.pop("organization_id", None))
    check_sync(body["sync"])
    if body["allow_mass_delete"] and not caller_is_admin():
        raise Forbidden("Only an admin may allow a mass delete")
    return start(scope, RunRequest(**body))


@blueprint.get(ONE)
@blueprint.response(200, RunSchema, example=RUN_EXAMPLE)
@blueprint.alt_response(404, "NOT_FOUND")
def get_run(sync_id: str) -> queries.RunView:
    """One run"""
    return queries.get_run(services().database, visible(), sync_id)


@blueprint.get(f"{ONE}/changes")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, ChangeListSchema, example=examples.CHANGES)
@blueprint.alt_response(404, "NOT_FOUND")
def list_changes(page: dict[str, int], sync_id: str) -> queries.ChangeList:
    """What the run changed, or what a dry run would change, field by field"""
    return queries.list_changes(services().database, visible(), sync_id, **page)


@blueprint.get(f"{ONE}/events")
@blueprint.arguments(LastEventArgs(), location="headers")
@blueprint.response(200, EventSchema, content_type=TYPE, example=examples.EVENT)
@blueprint.alt_response(204, description="The run has ended, and nothing was missed: stop asking", success=True)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(429, "TOO_MANY_REQUESTS")
def follow_run(args: dict[str, int], sync_id: str) -> Response:
    """The run's progress as it happens, as Server-Sent Events

    A stream of `id: 4`, `event: progress`, `data: {…}`, each event ended by an empty line.
    """
    return answer_events(queries.find_place(services().database, visible(), sync_id, args["last_event_id"]))


@blueprint.get(f"{ONE}/errors")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, DeadLetterListSchema, example=examples.DEAD_LETTERS)
@blueprint.alt_response(404, "NOT_FOUND")
def list_errors(page: dict[str, int], sync_id: str) -> queries.Listed:
    """The records that failed, and why"""
    return queries.list_errors(services().database, visible(), sync_id, **page)


@blueprint.post(f"{ONE}/errors/replay")
@blueprint.response(202, TriggeredSchema, example=examples.REPLAY)
@limited
def replay_errors(sync_id: str) -> Triggered:
    """Try the records that failed again"""
    return _go_on(sync_id, commands.replay_errors)


@blueprint.post(f"{ONE}/retry")
@blueprint.response(202, TriggeredSchema, example=examples.RETRY)
@limited
def retry_run(sync_id: str) -> Triggered:
    """Go on with a failed or cancelled run from its checkpoint"""
    return _go_on(sync_id, commands.retry_run)


@blueprint.post(f"{ONE}/undo")
@blueprint.response(202, TriggeredSchema, example=examples.UNDO)
@limited
def undo_run(sync_id: str) -> Triggered:
    """Put back what a run changed, where nobody has changed the same since"""
    return _go_on(sync_id, commands.undo_run)


@blueprint.post(f"{ONE}/cancel")
@blueprint.response(202, CancelledSchema, example=examples.CANCELLED)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
def cancel_run(sync_id: str) -> dict[str, Any]:
    """Stop a run at its next page"""
    parts = services()
    status = commands.cancel_run(parts.database, visible(), sync_id, actor())
    message = "The run was cancelled" if status == "cancelled" else "The run stops at its next page"
    return {"message": message, "sync_id": sync_id, "status": status, "timestamp": parts.clock()}


def _go_on(sync_id: str, command: Callable[..., Triggered]) -> Triggered:
    """A new run that has to do with an earlier one. Raises NotFound, Forbidden, and what the command raises."""
    parts, asked, scope = services(), idempotency(), visible()
    check_sync(queries.get_run(parts.database, scope, sync_id).sync)
    run = command(parts.database, scope, parts.settings, parts.clock, sync_id, actor(), asked)
    parts.dispatch([run])
    return run
