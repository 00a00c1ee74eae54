"""Cupid's properties and the administration of their sync (contract, section 3)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marshmallow import RAISE

from api.auth import admin_only, default_organization
from api.context import actor, services
from api.limits import limited
from api.openapi import Blueprint
from api.schemas import properties as shapes
from api.schemas.common import PageArgs
from api.schemas.properties import wrapped
from api.triggers import start
from syncapp import commands, queries
from syncapp.commands import RunRequest, Triggered
from syncapp.scope import Scope

blueprint = Blueprint("properties", __name__, url_prefix="/api/v1/admin", description="Properties and their sync")


@blueprint.post("/sync")
@blueprint.response(202, shapes.TriggeredAnswer, example=shapes.TRIGGERED)
@limited
@admin_only
def trigger_properties() -> dict[str, Any]:
    """Start a run"""
    parts, scope = services(), default_organization()
    estimate = queries.estimate_duration(parts.database, scope, parts.settings)
    run = start(scope, RunRequest("properties", estimate=estimate))
    return wrapped(run.answer(**_about(run), estimated_duration=run.estimate, triggered_at=run.timestamp))


@blueprint.get("/sync/status")
@blueprint.response(200, shapes.StatusAnswer, example=shapes.STATUS)
@admin_only
def properties_status() -> dict[str, Any]:
    """Whether it runs by itself, how the last run ended, and what is in flight"""
    return wrapped(_status(default_organization()))


@blueprint.post("/sync/start")
@blueprint.arguments(shapes.StartArgs(), location="query", unknown=RAISE)
@blueprint.response(200, shapes.SwitchedAnswer, example=shapes.STARTED)
@admin_only
def start_properties(args: dict[str, str]) -> dict[str, Any]:
    """Turn the schedule on, with that interval"""
    parts, scope = services(), default_organization()
    commands.start_properties(parts.database, parts.settings, parts.clock, actor(), **args)
    found = _status(scope)
    return wrapped(asdict(found) | {"message": f"The schedule is on: {found.sync_interval}"})


@blueprint.post("/sync/stop")
@blueprint.response(200, shapes.SwitchedAnswer, example=shapes.STOPPED)
@admin_only
def stop_properties() -> dict[str, Any]:
    """Turn the schedule off; a run in flight ends its batch and stops"""
    parts, scope = services(), default_organization()
    commands.stop_properties(parts.database, parts.settings, parts.clock, actor())
    found = _status(scope)
    in_flight = "; the run in flight ends its batch and stops" if found.sync_in_progress else ""
    return wrapped(asdict(found) | {"message": f"The schedule is off{in_flight}"})


@blueprint.get("/sync/health")
@blueprint.response(200, shapes.HealthAnswer, example=shapes.HEALTH)
@admin_only
def properties_health() -> dict[str, Any]:
    """How the sync is, and whether it is overdue"""
    parts, scope = services(), default_organization()
    return wrapped(queries.properties_health(parts.database, scope, parts.settings, parts.clock()))


@blueprint.get("/sync/logs")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, shapes.LogsAnswer, example=shapes.LOGS)
@admin_only
def list_sync_logs(page: dict[str, int]) -> dict[str, Any]:
    """The runs, newest first, as the view `sync_logs` has them"""
    return wrapped(queries.list_logs(services().database, default_organization(), **page))


@blueprint.get("/sync/settings")
@blueprint.response(200, shapes.SettingsAnswer, example=shapes.SETTINGS)
@admin_only
def list_sync_settings() -> dict[str, Any]:
    """What can be changed while it runs, as the view `sync_settings` has it"""
    default_organization()  # the header may name no other
    return wrapped(_settings())


@blueprint.put("/sync/settings")
@blueprint.arguments(shapes.SettingChangeSchema(many=True), example=shapes.CHANGE_REQUEST)
@blueprint.response(200, shapes.SettingsAnswer, example=shapes.SETTINGS)
@admin_only
def change_sync_settings(changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Change settings, all of those that are named or none; they hold without a restart

    The answer has all of them, as GET does.
    """
    parts = services()
    default_organization()  # the header may name no other
    wanted = [(one["setting_key"], one["setting_value"]) for one in changes]
    commands.change_settings(parts.database, parts.settings, parts.clock, wanted, actor())
    return wrapped(_settings())


@blueprint.get("/properties/<int:property_id>/changes")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, shapes.ChangesAnswer, example=shapes.CHANGES)
@blueprint.alt_response(404, "NOT_FOUND")
@admin_only
def list_property_changes(page: dict[str, int], property_id: int) -> dict[str, Any]:
    """A property's history, field by field, the newest first"""
    return wrapped(queries.list_property_changes(services().database, default_organization(), property_id, **page))


def _about(run: Triggered) -> dict[str, str]:
    """The status and the message: the run's own words where it is one in flight."""
    if run.sync_started:
        return {"status": "running", "message": "Synchronization started in background"}
    return {"status": "running" if run.started_at else "starting", "message": run.message}


def _status(scope: Scope) -> queries.PropertiesStatus:
    parts = services()
    return queries.properties_status(parts.database, scope, parts.settings, parts.clock())


def _settings() -> list[queries.SettingView]:
    parts = services()
    commands.complete_settings(parts.database, parts.settings, parts.clock)
    return queries.list_settings(parts.database)
