"""Runs, and what starts them."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.schemas.common import TIME_EXAMPLE, Flag, Name, OrganizationId, Time
from syncapp.records import RunStatus, Trigger

EXAMPLE_ID = "sync_default_20250630_120000_1f2e3d4c"
STATUSES = [status.value for status in RunStatus]


TRIGGERED_EXAMPLE = {
    "message": "Clients sync started",
    "sync_started": True,
    "sync_id": EXAMPLE_ID,
    "organization_id": "default",
    "timestamp": TIME_EXAMPLE,
}
_REFUSED = {
    "error_type": "conflict",
    "error_code": "RUN_IN_FLIGHT",
    "message": "Another run of appointments is in flight and was asked for something else",
}
ALL_EXAMPLE = TRIGGERED_EXAMPLE | {
    "message": f"Clients sync started; appointments: {_REFUSED['message']}",
    "syncs": {
        "clients": {"sync_started": True, "sync_id": EXAMPLE_ID},
        "appointments": {
            "sync_started": False,
            "sync_id": "sync_default_20250630_115900_9a8b7c6d",
            "error": _REFUSED,
        },
    },
}
RUN_EXAMPLE = {
    "sync_id": EXAMPLE_ID,
    "sync": "clients",
    "organization_id": "default",
    "mode": "default",
    "trigger": "manual",
    "status": "completed",
    "source": "live",
    "dry_run": False,
    "started_at": TIME_EXAMPLE,
    "completed_at": "2025-06-30T12:00:04.210Z",
    "resume_at": None,
    "records_processed": 5000,
    "records_created": 12,
    "records_updated": 40,
    "records_unchanged": 4947,
    "records_deleted": 0,
    "records_failed": 1,
    "attempt": 1,
    "steps": [{"name": "clients", "title": "Clients", "status": "completed"}],
    "error": None,
    "request_id": "9c1d7f0e",
}


class TriggeredSchema(Schema):
    message = fields.String(required=True, metadata={"example": "Clients sync started"})
    sync_started = fields.Boolean(required=True, metadata={"description": "False: a run is in flight already."})
    sync_id = fields.String(required=True, metadata={"example": EXAMPLE_ID})
    organization_id = OrganizationId(required=True)
    timestamp = Time(required=True)


class RunErrorSchema(Schema):
    error_type = fields.String(required=True)
    error_code = fields.String(required=True, allow_none=True)
    message = fields.String(required=True, allow_none=True)


class StartedSchema(Schema):
    sync_started = fields.Boolean(required=True)
    sync_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"example": EXAMPLE_ID, "description": "The run, or the one in flight; null where there is none."},
    )
    error = fields.Nested(RunErrorSchema, metadata={"description": "Why it was refused; only then."})


class AllStartedSchema(Schema):
    clients = fields.Nested(StartedSchema, required=True)
    appointments = fields.Nested(StartedSchema, required=True)


class AllTriggeredSchema(TriggeredSchema):
    syncs = fields.Nested(AllStartedSchema, required=True)


class RunRequestSchema(Schema):
    sync = Name(required=True, metadata={"example": "clients"})
    organization_id = OrganizationId()
    mode = Name()
    full_refresh = Flag(load_default=False, metadata={"description": "Read everything, not only changes."})
    dry_run = Flag(load_default=False, metadata={"description": "Change nothing; see /changes afterwards."})
    since = Time(
        metadata={"description": "Read what changed since then instead of since the last run; not with full_refresh."}
    )
    allow_mass_delete = Flag(
        load_default=False, metadata={"description": "Admins: let this run delete more than the guard allows."}
    )


class RunSchema(Schema):
    sync_id = fields.String(required=True, metadata={"example": EXAMPLE_ID})
    sync = fields.String(required=True)
    organization_id = OrganizationId(required=True)
    mode = fields.String(required=True)
    trigger = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    source = fields.String(required=True, metadata={"description": "`live`, or `mock` where records were made up."})
    dry_run = fields.Boolean(required=True)
    started_at = Time(required=True, allow_none=True)
    completed_at = Time(required=True, allow_none=True)
    resume_at = Time(required=True, allow_none=True, metadata={"description": "When a run that waits goes on."})
    records_processed = fields.Integer(required=True)
    records_created = fields.Integer(required=True)
    records_updated = fields.Integer(required=True)
    records_unchanged = fields.Integer(required=True)
    records_deleted = fields.Integer(required=True)
    records_failed = fields.Integer(required=True)
    attempt = fields.Integer(required=True)
    steps = fields.List(fields.Dict(), required=True)
    error = fields.Nested(RunErrorSchema, required=True, allow_none=True)
    request_id = fields.String(required=True, allow_none=True)


class RunListArgs(Schema):
    sync = Name()
    organization_id = OrganizationId()
    status = fields.String(validate=validate.OneOf(STATUSES))
    trigger = fields.String(validate=validate.OneOf([trigger.value for trigger in Trigger]))
    since = Time(metadata={"description": "Runs that were asked for at this time or later."})
    limit = fields.Integer(load_default=10, validate=validate.Range(1, 100))
    cursor = Name(longest=512, metadata={"description": "`next_cursor` of the page before."})


class RunListSchema(Schema):
    items = fields.List(fields.Nested(RunSchema), required=True)
    total = fields.Integer(required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ChangeSchema(Schema):
    stream = fields.String(required=True)
    external_id = fields.String(required=True)
    operation = fields.String(required=True, validate=validate.OneOf(["created", "updated", "deleted"]))
    before = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "What differs, by field (`address.city`, `rooms[12].max_adults`); null: absent."},
    )
    after = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "The same afterwards. Of rows that came or left only a dry run tells the content."},
    )


class ChangeListSchema(Schema):
    items = fields.List(fields.Nested(ChangeSchema), required=True)
    total = fields.Integer(required=True)
    kept = fields.Boolean(
        required=True, metadata={"description": "False: runs of this sync keep no changes, only dry runs tell them."}
    )


class DeadLetterSchema(Schema):
    id = fields.Integer(required=True)
    stream = fields.String(required=True)
    external_id = fields.String(required=True, allow_none=True)
    error_type = fields.String(required=True)
    message = fields.String(required=True)
    record = fields.Raw(required=True, allow_none=True, metadata={"description": "JSON, as it is stored."})
    replayable = fields.Boolean(
        required=True,
        metadata={"description": "False: `record` is not what the source sent; a full refresh reads it again."},
    )
    created_at = Time(required=True)
    replayed_at = Time(required=True, allow_none=True)


class DeadLetterListSchema(Schema):
    items = fields.List(fields.Nested(DeadLetterSchema), required=True)
    total = fields.Integer(required=True)


class CancelledSchema(Schema):
    message = fields.String(required=True)
    sync_id = fields.String(required=True, metadata={"example": EXAMPLE_ID})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    timestamp = Time(required=True)
