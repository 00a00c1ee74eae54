"""Alive, ready, healthy: open to everybody, states alone (contract, section 6)."""

from __future__ import annotations

from typing import Any

from api.auth import open_to_all
from api.context import services
from api.openapi import Blueprint
from api.schemas import examples
from api.schemas.syncs import AliveSchema, HealthSchema, ReadinessSchema
from syncapp import queries

blueprint = Blueprint("health", __name__, description="Alive, ready, healthy")


@blueprint.get("/healthz")
@blueprint.response(200, AliveSchema, example=examples.ALIVE)
@open_to_all
def alive() -> dict[str, str]:
    """Whether this process answers"""
    return {"status": "alive"}


@blueprint.get("/readyz")
@blueprint.response(200, ReadinessSchema, example=examples.READY)
@blueprint.alt_response(503, schema=ReadinessSchema, example=examples.NOT_READY, description="Something is missing")
@open_to_all
def ready() -> tuple[dict[str, Any], int]:
    """Whether work that is accepted will be done"""
    parts = services()
    found = queries.readiness(parts.database, parts.settings, parts.queues)
    answer = {"status": "ready" if found.ready else "not_ready", "checks": found.checks, "queues": found.queues}
    return answer, 200 if found.ready else 503


@blueprint.get("/api/v1/health")
@blueprint.response(200, HealthSchema, example=examples.HEALTHY)
@blueprint.alt_response(
    503, schema=HealthSchema, example=examples.UNHEALTHY, description="PostgreSQL cannot be reached, or is not migrated"
)
@open_to_all
def health() -> tuple[queries.Health, int]:
    """How the system and what it depends on are; at most 5 seconds old"""
    found = services().health()
    return found, 503 if found.status == "unhealthy" else 200
