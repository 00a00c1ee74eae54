"""Who did what."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.schemas.common import TIME_EXAMPLE, Name, OrganizationId, Time

ENTRY = {
    "at": TIME_EXAMPLE,
    "actor": "token:tok_1f2e3d4c5b6a7988",
    "organization_id": "acme",
    "action": "organization.changed",
    "target": "acme",
    "request_id": "9c1d7f0e",
    "details": {"before": {"active": True}, "after": {"active": False}},
}
AUDIT = {"items": [ENTRY], "total": 1, "next_cursor": None}


class AuditArgs(Schema):
    organization_id = OrganizationId()
    actor = Name(longest=300, metadata={"example": "token:tok_1f2e3d4c5b6a7988"})
    action = Name(metadata={"example": "run.started"})
    since = Time(metadata={"description": "What was done at this time or later."})
    limit = fields.Integer(load_default=10, validate=validate.Range(1, 100))
    cursor = Name(longest=512, metadata={"description": "`next_cursor` of the page before."})


class AuditEntrySchema(Schema):
    at = Time(required=True)
    actor = fields.String(
        required=True,
        metadata={
            "description": "`token:…`, `user:…` of an identity provider, `environment` (its admin token), `cli:…` or "
            "`system`."
        },
    )
    organization_id = OrganizationId(required=True, allow_none=True)
    action = fields.String(required=True)
    target = fields.String(required=True, allow_none=True, metadata={"description": "The id of what it was done to."})
    request_id = fields.String(required=True, allow_none=True)
    details = fields.Dict(required=True)


class AuditListSchema(Schema):
    items = fields.List(fields.Nested(AuditEntrySchema), required=True)
    total = fields.Integer(required=True)
    next_cursor = fields.String(required=True, allow_none=True)
