"""An organization's own runs: started, watched, looked back at, cleaned up after (contract, section 2)."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE

from api.auth import admin_only, existing_organization, organization, visible
from api.context import actor, services
from api.limits import limited
from api.openapi import Blueprint
from api.schemas import cliniko as shapes
from api.schemas.runs import TriggeredSchema
from api.triggers import idempotency, start
from syncapp import commands, queries
from syncapp.commands import RunRequest, Triggered
from syncapp.scope import Scope

blueprint = Blueprint("organization_syncs", __name__, url_prefix="/api/v1/sync", description="An organization's runs")


@blueprint.post("/trigger")
@blueprint.response(202, TriggeredSchema, example=shapes.TRIGGERED)
@limited
def trigger() -> dict[str, Any]:
    """Start a run that reads what has changed"""
    run = start(organization(), RunRequest("cliniko"))
    return run.answer(message=_started(run, "Sync started successfully"))


@blueprint.get("/scheduler/status")
@blueprint.response(200, shapes.SchedulerStatusSchema, example=shapes.SCHEDULER)
@blueprint.alt_response(404, "NOT_FOUND")
def scheduler_status() -> queries.SchedulerStatus:
    """What runs by itself, and when next"""
    parts = services()
    return queries.scheduler_status(parts.database, existing_organization(), parts.clock())


@blueprint.post("/scheduler/trigger")
@blueprint.response(202, TriggeredSchema, example=shapes.TRIGGERED)
@limited
def scheduler_trigger() -> dict[str, Any]:
    """Start what the scheduler would start now"""
    # A retried request is the same one, whatever the mode would be by then.
    parts, scope, asked = services(), organization(), idempotency()
    mode = queries.scheduled_mode(parts.database, scope, parts.settings, parts.clock())
    wanted = RunRequest("cliniko", mode=mode, actor=actor())
    run = commands.trigger_run(parts.database, scope, parts.settings, parts.clock, wanted, asked)
    parts.dispatch([run])
    return run.answer(message=_started(run, "Scheduled sync triggered successfully"))


@blueprint.post("/start/<organization:organization_id>")
@blueprint.arguments(shapes.StartArgs(), location="query", unknown=RAISE)
@blueprint.response(202, shapes.StartedInModeSchema, example=shapes.STARTED)
@limited
def start_in_mode(args: dict[str, str], organization_id: str) -> dict[str, Any]:
    """Start a run in a mode"""
    mode = args["sync_mode"]
    run = start(organization(organization_id=organization_id), RunRequest("cliniko", mode=mode))
    message = _started(run, f"Sync started successfully in {mode} mode")
    return run.answer(message=message, sync_mode=mode, started_at=run.started_at or run.timestamp)


@blueprint.get("/progress/<sync_id:sync_id>")
@blueprint.response(200, shapes.ProgressSchema, example=shapes.PROGRESS)
@blueprint.alt_response(404, "NOT_FOUND")
def progress(sync_id: str) -> queries.ProgressView:
    """How far a run is"""
    return queries.view_progress(services().database, visible(), sync_id)


@blueprint.get("/history/<organization:organization_id>")
@blueprint.arguments(shapes.HistoryArgs(), location="query")
@blueprint.response(200, shapes.HistorySchema, example=shapes.HISTORY)
@blueprint.alt_response(404, "NOT_FOUND")
def history(args: dict[str, int], organization_id: str) -> queries.SyncHistory:
    """Statistics over all runs, and the latest ones"""
    scope: Scope = existing_organization(organization_id=organization_id)
    return queries.sync_history(services().database, scope, **args)


@blueprint.post("/cleanup")
@blueprint.response(200, shapes.CleanupSchema, example=shapes.CLEANUP)
@admin_only
def cleanup() -> dict[str, Any]:
    """End what has used up its attempts, and send again what lost its worker

    A run that is alive or waiting is never touched, however old it is.
    """
    parts = services()
    count = commands.clean_up(parts.database, parts.settings, parts.dispatcher, actor())
    noun = "sync" if count == 1 else "syncs"
    return {"message": f"Cleaned up {count} stale {noun}", "cleaned_syncs": count, "timestamp": parts.clock()}


def _started(run: Triggered, message: str) -> str:
    """What the run itself says where nothing was started."""
    return message if run.sync_started else run.message
