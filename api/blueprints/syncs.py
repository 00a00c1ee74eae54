"""Every sync (contract, section 6)."""

from __future__ import annotations

from api.auth import existing_organization
from api.context import services
from api.openapi import Blueprint
from api.schemas import examples
from api.schemas.common import PageArgs
from api.schemas.syncs import SyncListSchema
from syncapp import queries

blueprint = Blueprint("syncs", __name__, url_prefix="/api/v1/syncs", description="Every sync, and how it is")


@blueprint.get("")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, SyncListSchema, example=examples.SYNCS)
@blueprint.alt_response(404, "NOT_FOUND")
def list_syncs(page: dict[str, int]) -> queries.Listed:
    """Every sync, as it is for the organization"""
    parts = services()
    found = queries.list_syncs(parts.database, existing_organization(), parts.settings, parts.clock())
    return queries.part_of(found, **page)
