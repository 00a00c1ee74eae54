"""Organizations and their tokens (contract, section 2)."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue

from api.auth import admin_only, existing_organization
from api.context import actor, services
from api.openapi import Blueprint
from api.schemas import organizations as shapes
from api.schemas.common import PageArgs
from syncapp import commands, queries
from syncapp.commands import NewOrganization, NewToken

blueprint = Blueprint(
    "organizations", __name__, url_prefix="/api/v1/organizations", description="Organizations and their tokens"
)
ONE = "/<organization:organization_id>"


@blueprint.get("")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, shapes.OrganizationListSchema, example=shapes.ORGANIZATIONS)
@admin_only
def list_organizations(page: dict[str, int]) -> queries.Listed:
    """Every organization, the oldest first"""
    return queries.list_organizations(services().database, **page)


@blueprint.post("")
@blueprint.arguments(shapes.NewOrganizationSchema(), example={"id": "acme", "name": "Acme Physiotherapy"})
@blueprint.response(201, shapes.OrganizationSchema, example=shapes.ORGANIZATION)
@blueprint.alt_response(409, "CONFLICT")
@admin_only
def create_organization(body: dict[str, str]) -> NewOrganization:
    """Make an organization"""
    wanted = body.get("id")
    return commands.create_organization(services().database, name=body["name"], organization_id=wanted, actor=actor())


@blueprint.patch(ONE)
@blueprint.arguments(shapes.OrganizationChangeSchema(), example={"active": False})
@blueprint.response(200, shapes.OrganizationSchema, example=shapes.ORGANIZATION | {"active": False})
@blueprint.alt_response(404, "NOT_FOUND")
@blueprint.alt_response(409, "CONFLICT")
@admin_only
def change_organization(change: dict[str, Any], organization_id: str) -> queries.OrganizationView:
    """Rename, deactivate or activate an organization"""
    parts = services()
    commands.change_organization(parts.database, parts.settings, organization_id, actor(), **change)
    return queries.get_organization(parts.database, organization_id)


@blueprint.get(f"{ONE}/tokens")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, shapes.TokenListSchema, example=shapes.TOKENS)
@blueprint.alt_response(404, "NOT_FOUND")
@admin_only
def list_tokens(page: dict[str, int], organization_id: str) -> queries.Listed:
    """The organization's tokens, the newest first, revoked ones too; never their secrets"""
    existing_organization()
    return queries.list_tokens(services().database, organization_id, **page)


@blueprint.post(f"{ONE}/tokens")
@blueprint.arguments(shapes.TokenRequestSchema(), example={"name": "nightly export", "role": "member"})
@blueprint.response(201, shapes.NewTokenSchema, example=shapes.NEW_TOKEN)
@blueprint.alt_response(404, "NOT_FOUND")
@admin_only
def create_token(body: dict[str, str], organization_id: str) -> NewToken:
    """Make a token; its secret is shown now and never again"""
    return commands.create_token(services().database, **body, organization_id=organization_id, actor=actor())


@blueprint.delete(f"{ONE}/tokens/<id:token_id>")
@blueprint.response(204)
@blueprint.alt_response(404, "NOT_FOUND")
@admin_only
def revoke_token(organization_id: str, token_id: str) -> ResponseReturnValue:
    """Revoke a token; it is good for nothing within seconds"""
    commands.revoke_token(services().database, token_id, actor(), organization_id=organization_id)
    return "", 204
