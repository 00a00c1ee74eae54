"""From where a run is followed."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class LastEventArgs(Schema):
    last_event_id = fields.Integer(
        data_key="Last-Event-ID",
        load_default=0,
        validate=validate.Range(min=0),
        metadata={"description": "The last event that was seen: what follows is sent. Browsers say it by themselves."},
    )
