"""From where a run is followed, and what is told then."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.schemas.cliniko import ProgressSchema
from api.schemas.common import Time
from api.schemas.plugin import Embedded


class LastEventArgs(Schema):
    last_event_id = fields.Integer(
        data_key="Last-Event-ID",
        load_default=0,
        validate=validate.Range(min=0),
        metadata={"description": "The last event that was seen: what follows is sent. Browsers say it by themselves."},
    )


class NumberedEventSchema(Schema):
    seq = fields.Integer(required=True)
    kind = fields.String(required=True)
    at = Time(required=True)
    data = fields.Dict(required=True)


class EventDataSchema(ProgressSchema):
    event = fields.Nested(NumberedEventSchema, required=True)


class EventSchema(Schema):
    """One event of the stream."""

    id = fields.String(required=True, metadata={"pattern": r"^\d+$", "description": "For `Last-Event-ID`."})
    event = fields.String(required=True, metadata={"description": "Its kind."})
    data = Embedded(EventDataSchema, required=True, metadata={"description": "The run's progress, and the event."})
