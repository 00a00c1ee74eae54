"""Who did what (contract, section 6)."""

from __future__ import annotations

from typing import Any

from api.auth import admin_only, visible
from api.context import services
from api.openapi import Blueprint
from api.schemas import audit as shapes
from syncapp import queries

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1/audit", description="Who did what")


@blueprint.get("")
@blueprint.arguments(shapes.AuditArgs(), location="query")
@blueprint.response(200, shapes.AuditListSchema, example=shapes.AUDIT)
@blueprint.alt_response(404, "NOT_FOUND")
@admin_only
def list_audit(args: dict[str, Any]) -> queries.AuditPage:
    """Who did what, the newest first"""
    scope = visible(organization_id=args.pop("organization_id", None))
    page = {name: args.pop(name) for name in ("limit", "cursor") if name in args}
    return queries.list_audit(services().database, scope, queries.AuditFilter(**args), **page)
