"""Fields and shapes that several routes share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.errors import ERROR_TYPES
from syncapp.times import show_time

TIME_EXAMPLE = "2025-06-30T12:00:00.000Z"
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
SYNC_ID = r"[A-Za-z0-9_-]{1,128}"
ORGANIZATION_ID = r"^[A-Za-z0-9_-]{1,64}$"
CONTROL = r"\x00-\x1f\x7f-\x9f"
NAME = f"^[^{CONTROL}]*$"
TITLE = rf"^[^{CONTROL}]*[^{CONTROL}\s][^{CONTROL}]*$"


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


class Pattern(validate.Regexp):
    """The text as a whole: `$` alone would let a line break follow."""

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self.error)
        return value


class Name(fields.String):
    """A short text without control characters, which PostgreSQL and logs could not hold."""

    def __init__(self, *, longest: int = 64, **kwargs: Any) -> None:
        rules = [validate.Length(min=1, max=longest), Pattern(NAME, error="Must not hold control characters.")]
        super().__init__(validate=rules, **kwargs)


class Title(fields.String):
    """A name that is shown to people, hence no blank one."""

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        error = "Must hold more than blanks, and no control characters."
        super().__init__(validate=[validate.Length(min=1, max=longest), Pattern(TITLE, error=error)], **kwargs)


class OrganizationId(fields.String):
    def __init__(self, **kwargs: Any) -> None:
        rule = Pattern(ORGANIZATION_ID, error="Must be 1 to 64 letters, digits, - or _.")
        metadata = {"example": "default", **kwargs.pop("metadata", {})}
        super().__init__(validate=rule, metadata=metadata, **kwargs)


class Flag(fields.Boolean):
    """true or false; no text or number that may mean one."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Change(Schema):
    """A body that names what is to change, hence at least one thing."""

    class Meta:
        json_schema: ClassVar[dict[str, Any]] = {"minProperties": 1}

    @validates_schema
    def check_not_empty(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError(f"Name at least one of {', '.join(self.fields)}.")


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
