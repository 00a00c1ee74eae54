"""Cliniko: an organization's key, its connection and its runs (contract, section 2)."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from marshmallow import RAISE

from api.auth import existing_organization, organization
from api.context import actor, services
from api.limits import counted, limited
from api.openapi import Blueprint
from api.schemas import cliniko as shapes
from api.triggers import start
from syncapp import commands, queries
from syncapp.commands import RunRequest

blueprint = Blueprint("cliniko", __name__, url_prefix="/api/v1/cliniko", description="Cliniko per organization")
ONE = "/<organization:organization_id>"


@blueprint.post(f"/sync{ONE}")
@blueprint.arguments(shapes.ClinikoSyncArgs(), location="query", unknown=RAISE)
@blueprint.response(202, shapes.ClinikoTriggeredSchema, example=shapes.CLINIKO_STARTED)
@limited
def sync(args: dict[str, str], organization_id: str) -> dict[str, Any]:
    """Start a run"""
    mode = args["mode"]
    run = start(organization(organization_id=organization_id), RunRequest("cliniko", mode=mode))
    message = f"{mode.capitalize()} Cliniko sync started successfully" if run.sync_started else run.message
    return run.answer(success=True, sync_mode=mode, message=message)


@blueprint.post(f"/import-patients{ONE}")
@blueprint.response(202, shapes.ImportSchema, example=shapes.IMPORT)
@limited
def import_patients(organization_id: str) -> dict[str, Any]:
    """Start a run of the patients alone"""
    run = start(organization(organization_id=organization_id), RunRequest("cliniko", mode="patients-only"))
    message = "Patient import started successfully" if run.sync_started else run.message
    return run.answer(success=True, import_id=run.sync_id, message=message)


@blueprint.get(f"/status{ONE}")
@blueprint.response(200, shapes.ClinikoStatusSchema, example=shapes.STATUS)
@blueprint.alt_response(404, "NOT_FOUND")
def status(organization_id: str) -> queries.ClinikoStatus:
    """How the organization's connection and data stand"""
    parts, scope = services(), existing_organization(organization_id=organization_id)
    return queries.cliniko_status(parts.database, scope, parts.settings, parts.clock())


@blueprint.get(f"/test-connection{ONE}")
@blueprint.response(200, shapes.ConnectionSchema, example=shapes.CONNECTION)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(502, "BAD_GATEWAY")
@counted
def test_connection(organization_id: str) -> dict[str, Any]:
    """Ask Cliniko for one record with the stored key"""
    parts, scope = services(), existing_organization(organization_id=organization_id)
    found = commands.check_cliniko_key(
        parts.database, parts.settings, parts.rate_limit, parts.clock, str(scope.organization_id)
    )
    facts = {"api_region": found.api_region, "response_time_ms": round(found.response_time_ms, 1)}
    return {"success": True, "connection_status": "healthy", "test_timestamp": parts.clock(), **facts}


@blueprint.put(f"/credentials{ONE}")
@blueprint.arguments(shapes.KeySchema(), example={"api_key": "MS0xNzM0NTY3ODkwLWFiY2Rl-au4"})
@blueprint.response(200, shapes.StoredKeySchema, example=shapes.STORED)
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(502, "BAD_GATEWAY")
@counted
def store_key(body: dict[str, str], organization_id: str) -> dict[str, Any]:
    """Store the API key, once Cliniko has taken it"""
    parts, wanted = services(), str(organization(organization_id=organization_id).organization_id)
    found = commands.store_cliniko_key(
        parts.database, parts.settings, parts.rate_limit, wanted, body["api_key"], actor()
    )
    facts = {"organization_id": wanted, "api_region": found.api_region, "credentials_valid": True}
    return {"success": True, "message": "The API key was tried and stored", "timestamp": parts.clock(), **facts}


@blueprint.delete(f"/credentials{ONE}")
@blueprint.response(204)
@blueprint.alt_response(404, "NOT_FOUND")
def remove_key(organization_id: str) -> ResponseReturnValue:
    """Remove the API key; a run that reads with it stops at its next page"""
    scope = organization(organization_id=organization_id)
    commands.remove_cliniko_key(services().database, str(scope.organization_id), actor())
    return "", 204
