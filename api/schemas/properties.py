"""The properties' sync and its administration (contract, section 3). Answers are wrapped."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, pre_load, validate

from api.schemas.common import TIME_EXAMPLE, Name, Time
from api.schemas.runs import EXAMPLE_ID, STATUSES, TRIGGERED_EXAMPLE, TriggeredSchema
from api.schemas.syncs import LEVELS, LEVELS_MEAN
from syncapp.commands import SETTING_KEYS

NEXT_TIME = "2025-07-01T00:00:00.000Z"
LONGEST_KEY = 64


def wrapped(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data}


def _wrapped(name: str, data: fields.Field[Any]) -> type[Schema]:
    """`{"success": true, "data": …}`"""
    return Schema.from_dict({"success": fields.Constant(True, required=True), "data": data}, name=name)


class PropertiesTriggeredSchema(TriggeredSchema):
    status = fields.String(
        required=True,
        validate=validate.OneOf(["running", "starting"]),
        metadata={"description": "running; of a run in flight that no worker has taken yet, starting."},
    )
    estimated_duration = fields.String(
        required=True,
        metadata={"example": "5-10 minutes", "description": "From past runs; without any, from what is to be asked."},
    )
    triggered_at = Time(required=True)


class PropertiesStatusSchema(Schema):
    is_running = fields.Boolean(
        required=True, metadata={"description": "The schedule is on and a scheduler has ticked lately."}
    )
    last_sync = Time(required=True, allow_none=True, metadata={"description": "When a run last completed."})
    next_sync = Time(required=True, allow_none=True, metadata={"description": "null where nothing starts by itself."})
    total_properties = fields.Integer(
        required=True, metadata={"description": "Of the last run that ended, as the next two; 0 before there was one."}
    )
    updated_properties = fields.Integer(required=True, metadata={"description": "New ones and changed ones."})
    failed_properties = fields.Integer(required=True)
    sync_interval = fields.String(required=True, metadata={"example": "12h", "description": "Or a cron line."})
    last_error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why the last run failed; null once one completes."}
    )
    sync_in_progress = fields.Boolean(required=True)
    sync_id = fields.String(
        required=True, allow_none=True, metadata={"example": EXAMPLE_ID, "description": "The run in flight."}
    )


class PropertiesSwitchedSchema(PropertiesStatusSchema):
    message = fields.String(required=True)


class PropertiesHealthSchema(Schema):
    status = fields.String(
        required=True,
        validate=validate.OneOf(LEVELS),
        metadata={"description": f"How its runs fare. stopped too where it is not configured. {LEVELS_MEAN}"},
    )
    is_running = fields.Boolean(
        required=True, metadata={"description": "The schedule is on and a scheduler has ticked lately."}
    )
    is_healthy = fields.Boolean(
        required=True, metadata={"description": "It runs, its runs fare well, and it is not overdue."}
    )
    is_overdue = fields.Boolean(
        required=True, metadata={"description": "By its schedule a run should have succeeded by now, and none has."}
    )
    last_sync_age = fields.String(
        required=True, allow_none=True, metadata={"example": "2h30m", "description": "Of the last success."}
    )
    next_sync_in = fields.String(required=True, allow_none=True, metadata={"example": "9h30m"})
    sync_interval = fields.String(required=True, metadata={"example": "12h"})
    summary = fields.String(required=True)
    checked_at = Time(required=True)


class SyncLogSchema(Schema):
    id = fields.Integer(required=True)
    sync_id = fields.String(required=True, metadata={"example": EXAMPLE_ID})
    sync_type = fields.String(
        required=True, metadata={"description": "What started it: schedule, manual, force, retry; replay or undo."}
    )
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    started_at = Time(required=True)
    completed_at = Time(required=True, allow_none=True)
    total_properties = fields.Integer(required=True)
    updated_properties = fields.Integer(required=True)
    failed_properties = fields.Integer(required=True)
    error_message = fields.String(required=True, allow_none=True)
    created_at = Time(required=True)


class SyncLogListSchema(Schema):
    items = fields.List(fields.Nested(SyncLogSchema), required=True)
    total = fields.Integer(required=True)


class SettingSchema(Schema):
    setting_key = fields.String(required=True, validate=validate.OneOf(SETTING_KEYS))
    setting_value = fields.String(required=True, metadata={"example": "6h"})
    description = fields.String(required=True)
    updated_at = Time(required=True)


class Value(fields.Raw):
    """A text, a number or a boolean; the setting itself says which."""

    def __init__(self) -> None:
        what = {"type": ["string", "number", "boolean"], "example": "6h"}
        super().__init__(required=True, metadata=what)


class SettingChangeSchema(Schema):
    """Which settings there are, and what each may be, the command knows; here is only what can be read at all."""

    class Meta:
        json_list: ClassVar[dict[str, int]] = {"minItems": 1, "maxItems": len(SETTING_KEYS)}

    setting_key = Name(longest=LONGEST_KEY, required=True, metadata={"enum": list(SETTING_KEYS)})
    setting_value = Value()

    @pre_load(pass_collection=True)
    def check_length(self, data: Any, **_: Any) -> Any:
        if isinstance(data, list) and not 1 <= len(data) <= len(SETTING_KEYS):
            raise ValidationError(f"Must be a list of 1 to {len(SETTING_KEYS)} settings.")
        return data


class StartArgs(Schema):
    interval = Name(
        longest=32, metadata={"example": "24h", "description": "5m to 7d; without it the interval stays as it is."}
    )


class PropertyChangeSchema(Schema):
    sync_id = fields.String(required=True, metadata={"example": EXAMPLE_ID})
    changed_at = Time(required=True, metadata={"description": "When the run began that found the change."})
    operation = fields.String(required=True, validate=validate.OneOf(["created", "updated", "deleted"]))
    field = fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "address.city", "description": "null where the property came or went as a whole."},
    )
    old = fields.Raw(required=True, allow_none=True, metadata={"description": "Any JSON value."})
    new = fields.Raw(required=True, allow_none=True, metadata={"description": "Any JSON value."})


class PropertyChangeListSchema(Schema):
    items = fields.List(fields.Nested(PropertyChangeSchema), required=True)
    total = fields.Integer(required=True, metadata={"description": "Of the items, each a field of a change."})


TriggeredAnswer = _wrapped("PropertiesTriggeredAnswer", fields.Nested(PropertiesTriggeredSchema, required=True))
StatusAnswer = _wrapped("PropertiesStatusAnswer", fields.Nested(PropertiesStatusSchema, required=True))
SwitchedAnswer = _wrapped("PropertiesSwitchedAnswer", fields.Nested(PropertiesSwitchedSchema, required=True))
HealthAnswer = _wrapped("PropertiesHealthAnswer", fields.Nested(PropertiesHealthSchema, required=True))
LogsAnswer = _wrapped("SyncLogsAnswer", fields.Nested(SyncLogListSchema, required=True))
SettingsAnswer = _wrapped("SyncSettingsAnswer", fields.List(fields.Nested(SettingSchema), required=True))
ChangesAnswer = _wrapped("PropertyChangesAnswer", fields.Nested(PropertyChangeListSchema, required=True))

TRIGGERED = wrapped(
    TRIGGERED_EXAMPLE
    | {
        "status": "running",
        "message": "Synchronization started in background",
        "estimated_duration": "5-10 minutes",
        "triggered_at": TIME_EXAMPLE,
    }
)
_STATUS = {
    "is_running": True,
    "last_sync": TIME_EXAMPLE,
    "next_sync": NEXT_TIME,
    "total_properties": 70,
    "updated_properties": 15,
    "failed_properties": 0,
    "sync_interval": "12h",
    "last_error": None,
    "sync_in_progress": False,
    "sync_id": None,
}
STATUS = wrapped(_STATUS)
STARTED = wrapped(_STATUS | {"message": "The schedule is on: 24h", "sync_interval": "24h"})
STOPPED = wrapped(
    _STATUS
    | {
        "message": "The schedule is off; the run in flight ends its batch and stops",
        "is_running": False,
        "next_sync": None,
        "sync_in_progress": True,
        "sync_id": EXAMPLE_ID,
    }
)
HEALTH = wrapped(
    {
        "status": "healthy",
        "is_running": True,
        "is_healthy": True,
        "is_overdue": False,
        "last_sync_age": "2h30m",
        "next_sync_in": "9h30m",
        "sync_interval": "12h",
        "summary": "Sync service is running",
        "checked_at": TIME_EXAMPLE,
    }
)
LOGS = wrapped(
    {
        "items": [
            {
                "id": 41,
                "sync_id": EXAMPLE_ID,
                "sync_type": "schedule",
                "status": "completed",
                "started_at": TIME_EXAMPLE,
                "completed_at": "2025-06-30T12:06:10.500Z",
                "total_properties": 70,
                "updated_properties": 15,
                "failed_properties": 0,
                "error_message": None,
                "created_at": TIME_EXAMPLE,
            }
        ],
        "total": 1,
    }
)
CHANGE_REQUEST = [{"setting_key": "sync_interval", "setting_value": "6h"}]
SETTINGS = wrapped(
    [
        {
            "setting_key": "sync_interval",
            "setting_value": "6h",
            "description": "How often the properties are synced: 5m to 7d",
            "updated_at": TIME_EXAMPLE,
        }
    ]
)
CHANGES = wrapped(
    {
        "items": [
            {
                "sync_id": EXAMPLE_ID,
                "changed_at": TIME_EXAMPLE,
                "operation": "updated",
                "field": "address.city",
                "old": "London",
                "new": "Greater London",
            }
        ],
        "total": 1,
    }
)
