"""Organizations and their tokens."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.schemas.common import TIME_EXAMPLE, Change, Flag, Name, OrganizationId, Time, Title

ROLES = ["admin", "member"]
LONGEST_NAME = 200

ORGANIZATION = {"id": "acme", "name": "Acme Physiotherapy", "active": True, "created_at": TIME_EXAMPLE}
ORGANIZATIONS = {"items": [ORGANIZATION], "total": 1}
TOKEN = {
    "id": "tok_1f2e3d4c5b6a7988",
    "name": "nightly export",
    "role": "member",
    "organization_id": "acme",
    "created_at": TIME_EXAMPLE,
}
NEW_TOKEN = TOKEN | {"token": "syncapp_9f4Kq0w7Y2cXbN8vJ3mR6tZ1sLhD5aPeUgQoIiCyW0E"}
TOKENS = {"items": [TOKEN | {"last_used_at": TIME_EXAMPLE, "revoked_at": None}], "total": 1}


class OrganizationSchema(Schema):
    id = OrganizationId(required=True)
    name = fields.String(required=True)
    active = fields.Boolean(required=True, metadata={"description": "False: no run starts, its members are refused."})
    created_at = Time(required=True)


class OrganizationListSchema(Schema):
    items = fields.List(fields.Nested(OrganizationSchema), required=True)
    total = fields.Integer(required=True)


class NewOrganizationSchema(Schema):
    id = OrganizationId(metadata={"description": "Made up where none is given."})
    name = Title(required=True, longest=LONGEST_NAME)


class OrganizationChangeSchema(Change):
    name = Title(longest=LONGEST_NAME)
    active = Flag(
        metadata={"description": "False: no run starts any more, those in flight stop, its members are refused."}
    )


class TokenRequestSchema(Schema):
    name = Name(required=True, longest=LONGEST_NAME, metadata={"description": "What it is for."})
    role = fields.String(
        load_default="member",
        validate=validate.OneOf(ROLES),
        metadata={"description": "An admin's is for every organization; this one is then its own."},
    )


class TokenSchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    organization_id = OrganizationId(required=True)
    created_at = Time(required=True)


class NewTokenSchema(TokenSchema):
    token = fields.String(required=True, metadata={"description": "The secret: shown now and never again."})


class ListedTokenSchema(TokenSchema):
    last_used_at = Time(
        required=True, allow_none=True, metadata={"description": "Of its last use, noted at most once a minute."}
    )
    revoked_at = Time(required=True, allow_none=True)


class TokenListSchema(Schema):
    items = fields.List(fields.Nested(ListedTokenSchema), required=True)
    total = fields.Integer(required=True)
