"""Syncs, their schedules, and how they are."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validate

from api.schemas.common import Change, Flag, Name, Time
from syncapp.records import HealthLevel

LEVELS = [level.value for level in HealthLevel]
LEVELS_MEAN = (
    "stopped: switched off. warning: 1 failure in a row, no success yet, or 1.5 intervals without one. "
    "degraded: 2 failures, 3 intervals, or the last run made its records up. unhealthy: 5 failures, or 5 intervals."
)
STATES = ["healthy", "degraded", "unhealthy", "unknown", "not_configured"]
CHECKS = ["ok", "failed"]


class ScheduleSchema(Schema):
    name = fields.String(required=True, metadata={"example": "clients"})
    cron = fields.String(required=True, allow_none=True, metadata={"example": "0 */6 * * *"})
    interval = fields.Float(required=True, allow_none=True, metadata={"description": "Seconds."})
    timezone = fields.String(required=True, metadata={"example": "UTC"})
    enabled = fields.Boolean(required=True)
    next_run_at = Time(required=True, allow_none=True)
    last_run_at = Time(required=True, allow_none=True)
    queue = fields.String(required=True)


class ScheduleListSchema(Schema):
    items = fields.List(fields.Nested(ScheduleSchema), required=True)
    total = fields.Integer(required=True)


class Interval(fields.Raw):
    """Seconds as a number, or a duration such as 2h30m."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValidationError("Must be seconds or a duration such as 2h30m.")
        if len(str(value)) > 32:
            raise ValidationError("Is too long.")
        return value


class ScheduleChangeSchema(Change):
    class Meta:
        json_schema: ClassVar[dict[str, Any]] = {"minProperties": 1, "not": {"required": ["cron", "interval"]}}

    cron = Name(longest=128, metadata={"example": "*/30 * * * *"})
    interval = Interval(metadata={"example": "30m", "type": ["string", "number"]})
    enabled = Flag()
    timezone = Name(metadata={"example": "UTC"})


class FreshnessSchema(Schema):
    last_success_at = Time(required=True, allow_none=True)
    last_complete_at = Time(
        required=True, allow_none=True, metadata={"description": "When every record of the source was last read."}
    )
    seconds = fields.Float(required=True, allow_none=True, metadata={"description": "Since the last success."})


class SyncSchema(Schema):
    name = fields.String(required=True, metadata={"example": "clients"})
    title = fields.String(required=True)
    queue = fields.String(required=True)
    source = fields.String(required=True)
    destination = fields.String(required=True)
    modes = fields.List(fields.String(), required=True)
    configured = fields.Boolean(required=True)
    schedule = fields.Nested(ScheduleSchema, required=True)
    health = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(LEVELS),
        metadata={"description": f"null where it is not configured. {LEVELS_MEAN}"},
    )
    freshness = fields.Nested(FreshnessSchema, required=True)


class SyncListSchema(Schema):
    items = fields.List(fields.Nested(SyncSchema), required=True)
    total = fields.Integer(required=True)


class CountsSchema(Schema):
    pending = fields.Integer(required=True, metadata={"description": "Referred to, not brought by its own sync yet."})
    syncing = fields.Integer(required=True)
    synced = fields.Integer(required=True)
    error = fields.Integer(required=True)
    total = fields.Integer(required=True, metadata={"description": "Of these; without the mock rows."})
    mock = fields.Integer(
        required=True, metadata={"description": "Generated while the API could not be reached; in no other count."}
    )


class ResourceStatusSchema(Schema):
    counts = fields.Nested(CountsSchema, required=True)
    last_run_at = Time(required=True, allow_none=True)
    last_success_at = Time(required=True, allow_none=True)
    freshness_seconds = fields.Float(required=True, allow_none=True)
    success_rate_24h = fields.Float(required=True, allow_none=True, metadata={"description": "0 to 1"})
    success_rate_7d = fields.Float(required=True, allow_none=True, metadata={"description": "0 to 1"})
    source = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the last completed run: live or mock."}
    )


class ScheduledJobSchema(Schema):
    name = fields.String(required=True)
    cron = fields.String(required=True, allow_none=True)
    next_run_at = Time(required=True, allow_none=True)
    last_run_at = Time(required=True, allow_none=True)
    enabled = fields.Boolean(required=True)
    queue = fields.String(required=True)


class WellnessStatusSchema(Schema):
    clients = fields.Nested(ResourceStatusSchema, required=True)
    appointments = fields.Nested(ResourceStatusSchema, required=True)
    scheduled_jobs = fields.List(fields.Nested(ScheduledJobSchema), required=True)
    health = fields.String(
        required=True, validate=validate.OneOf(LEVELS), metadata={"description": f"The worse of both. {LEVELS_MEAN}"}
    )


class DependenciesSchema(Schema):
    database = fields.String(required=True, validate=validate.OneOf(STATES))
    redis = fields.String(required=True, validate=validate.OneOf(STATES))
    external_api = fields.String(required=True, validate=validate.OneOf(STATES))
    queues = fields.String(required=True, validate=validate.OneOf(STATES))


class HealthSchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(["healthy", "degraded", "unhealthy"]))
    dependencies = fields.Nested(DependenciesSchema, required=True)


class AliveSchema(Schema):
    status = fields.String(required=True, metadata={"example": "alive"})


class ReadinessSchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(["ready", "not_ready"]))
    checks = fields.Dict(keys=fields.String(), values=fields.String(validate=validate.OneOf(CHECKS)), required=True)
    queues = fields.Dict(keys=fields.String(), values=fields.String(validate=validate.OneOf(CHECKS)), required=True)
