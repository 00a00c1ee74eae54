"""Reading the fields of a record that somebody else wrote. Everything here raises InvalidRecord."""

from __future__ import annotations

import re
from datetime import tzinfo
from math import isfinite
from typing import Any

from syncapp.errors import InvalidRecord
from syncapp.times import utc_text

MAX_KEY = 255
MAX_TEXT = 10_000
NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)


def read_key(record: Any, name: str = "id") -> str:
    """The record's external id: a text of 1 to 255 characters or a whole number."""
    if type(record) is not dict:
        raise InvalidRecord(f"the record is not an object but {type(record).__name__}")
    value = record.get(name)
    if type(value) is str and 0 < len(value) <= MAX_KEY and value.isprintable():
        return value
    if type(value) is int and abs(value) < 2**64:
        return str(value)
    if type(value) is not str or not value:
        raise InvalidRecord(f"{name} is missing or neither a text nor a whole number")
    if len(value) > MAX_KEY:
        raise InvalidRecord(f"{name} is longer than {MAX_KEY} characters")
    raise InvalidRecord(f"{name} holds characters that cannot be printed")


def read_text(record: dict[str, Any], name: str, key: str, *, longest: int = MAX_TEXT) -> str | None:
    """A text of at most `longest` characters; numbers are taken as they are written, blanks are absent."""
    value = record.get(name)
    if type(value) is str and len(value) <= longest:
        return value.strip() or None
    if value is None:
        return None
    if isinstance(value, str):
        raise InvalidRecord(f"{name} is longer than {longest:,} characters", external_id=key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise InvalidRecord(f"{name} is not a text but {type(value).__name__}", external_id=key)


def read_integer(record: dict[str, Any], name: str, key: str) -> int | None:
    """A whole number of at most 63 bits, also where it is written as a text or as 1.0."""
    value = record.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise InvalidRecord(f"{name} is not a whole number", external_id=key)
    return value


def read_number(record: dict[str, Any], name: str, key: str) -> int | float | None:
    """A finite number, also where it is written as a text."""
    value = record.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = float(value)
    if type(value) not in {int, float} or not isfinite(value):
        raise InvalidRecord(f"{name} is not a number", external_id=key)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_boolean(record: dict[str, Any], name: str, key: str) -> bool | None:
    value = record.get(name)
    if value is None or value == "":
        return None
    if type(value) is not bool:
        raise InvalidRecord(f"{name} is neither true nor false", external_id=key)
    return value


def read_time(value: Any, name: str, key: str, zone: tzinfo) -> str | None:
    """RFC 3339 UTC; None where there is no value."""
    if value is None or value == "":
        return None
    try:
        return utc_text(value, zone)
    except ValueError as error:
        raise InvalidRecord(f"{name} cannot be read as a time: {error}", external_id=key) from None


def is_removed(record: dict[str, Any]) -> bool:
    """Whether the source marks the record as removed: `deleted`, `deleted_at` or `archived_at`."""
    if record.get("deleted_at") or record.get("archived_at"):
        return True
    deleted = record.get("deleted")
    return deleted is not None and deleted in (True, 1, "true", "1")
