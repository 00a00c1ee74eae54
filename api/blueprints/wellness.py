"""Clients and appointments of the wellness app (contract, section 1)."""

from __future__ import annotations

from typing import Any

from api.auth import default_organization
from api.context import services
from api.limits import limited
from api.openapi import Blueprint
from api.schemas import examples
from api.schemas.runs import ALL_EXAMPLE, TRIGGERED_EXAMPLE, AllTriggeredSchema, TriggeredSchema
from api.schemas.syncs import WellnessStatusSchema
from api.triggers import start, start_each
from syncapp import queries
from syncapp.commands import RunRequest, Triggered
from syncapp.records import Trigger

blueprint = Blueprint("wellness", __name__, url_prefix="/api/v1/sync", description="Clients and appointments")
SYNCS = ("clients", "appointments")


@blueprint.get("/status")
@blueprint.response(200, WellnessStatusSchema, example=examples.WELLNESS)
@blueprint.alt_response(404, "NOT_FOUND")
def status() -> queries.WellnessStatus:
    """How clients and appointments stand"""
    parts = services()
    return queries.wellness_status(parts.database, default_organization(), parts.settings, parts.clock())


@blueprint.post("/clients")
@blueprint.response(202, TriggeredSchema, example=TRIGGERED_EXAMPLE)
@limited
def sync_clients() -> Triggered:
    """Start the clients' sync"""
    return start(default_organization(), RunRequest("clients"))


@blueprint.post("/appointments")
@blueprint.response(202, TriggeredSchema, example=TRIGGERED_EXAMPLE)
@limited
def sync_appointments() -> Triggered:
    """Start the appointments' sync"""
    return start(default_organization(), RunRequest("appointments"))


@blueprint.post("/all")
@blueprint.response(202, AllTriggeredSchema, example=ALL_EXAMPLE)
@limited
def sync_all() -> dict[str, Any]:
    """Start both

    Each for itself: what refuses one of them stands in its `error`, and is the answer only where it refuses both.
    """
    return _start_both([RunRequest(sync) for sync in SYNCS])


@blueprint.post("/force")
@blueprint.response(202, AllTriggeredSchema, example=ALL_EXAMPLE)
@limited
def sync_force() -> dict[str, Any]:
    """Start both as a full read

    Now, whatever the cursor, an open circuit or a disabled schedule say; each for itself, as above.
    """
    return _start_both([RunRequest(sync, trigger=Trigger.FORCE, full_refresh=True, force=True) for sync in SYNCS])


def _start_both(requests: list[RunRequest]) -> dict[str, Any]:
    """One answer for both: it names the first run that was started, else the first in flight."""
    runs, refused = start_each(default_organization(), requests)
    first = next((run for run in runs if run.sync_started), runs[0])
    errors = {one.sync: {"sync_started": False, "sync_id": one.sync_id, "error": one} for one in refused}
    return {
        "message": "; ".join([run.message for run in runs] + [f"{one.sync}: {one.message}" for one in refused]),
        "sync_started": first.sync_started,
        "sync_id": first.sync_id,
        "organization_id": first.organization_id,
        "timestamp": first.timestamp,
        "syncs": {run.sync: run for run in runs} | errors,
    }
