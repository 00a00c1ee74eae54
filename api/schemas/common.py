"""Fields and shapes that several routes share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from api.errors import ERROR_TYPES
from syncapp.times import show_time

TIME_EXAMPLE = "2025-06-30T12:00:00.000Z"
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SYNC_ID = r"[A-Za-z0-9_-]{1,128}"
ORGANIZATION_ID = r"^[A-Za-z0-9_-]{1,64}$"


class Time(fields.AwareDateTime):
    """RFC 3339, in UTC with milliseconds and Z in answers. One without a zone is taken for UTC."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": TIME_EXAMPLE, **kwargs.pop("metadata", {})}
        super().__init__(format="iso", default_timezone=UTC, metadata=metadata, **kwargs)

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return show_time(value) if isinstance(value, datetime) else value

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        found = super()._deserialize(value, attr, data, **kwargs)
        if not FIRST <= found < LAST:
            raise ValidationError("Must be between 1970 and 2200.")
        return found


class Name(fields.String):
    """A short text without control characters, which PostgreSQL and logs could not hold."""

    def __init__(self, *, longest: int = 64, **kwargs: Any) -> None:
        rules = [validate.Length(min=1, max=longest), *kwargs.pop("validate", [])]
        super().__init__(validate=rules, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        found = str(super()._deserialize(value, attr, data, **kwargs))
        if CONTROL.search(found):
            raise ValidationError("Must not hold control characters.")
        return found


class OrganizationId(fields.String):
    def __init__(self, **kwargs: Any) -> None:
        rule = validate.Regexp(ORGANIZATION_ID, error="Must be 1 to 64 letters, digits, - or _.")
        metadata = {"example": "default", **kwargs.pop("metadata", {})}
        super().__init__(validate=rule, metadata=metadata, **kwargs)


class Flag(fields.Boolean):
    """true or false; no text that may mean one."""

    truthy = {True}  # noqa: RUF012  (marshmallow's own way to say it)
    falsy = {False}  # noqa: RUF012


class PageArgs(Schema):
    """How much of a list, and from where."""

    limit = fields.Integer(load_default=10, validate=validate.Range(1, 100))
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 1_000_000_000))


class ErrorDetails(Schema):
    error_type = fields.String(required=True, validate=validate.OneOf(list(ERROR_TYPES)))
    message = fields.String(required=True)
    error_code = fields.String(required=True)
    retry_after = fields.Integer(metadata={"description": "Seconds; present where waiting helps, as in Retry-After."})
    fields_ = fields.Dict(data_key="fields", metadata={"description": "What is wrong, by the field's name; with 422."})
    sync_id = fields.String(metadata={"description": "The run in flight; with a conflict."})


class ErrorSchema(Schema):
    """The one shape of every error."""

    success = fields.Constant(False, required=True)
    error = fields.String(required=True)
    details = fields.Nested(ErrorDetails, required=True)
    timestamp = Time(required=True)
