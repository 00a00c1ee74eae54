"""Parts of lists: by offset, or by a cursor that rows which come meanwhile do not shift."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from syncapp.errors import ValidationFailed

Key = TypeVar("Key", str, int)
LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of a list, and how long all of it is."""

    items: Sequence[Any]
    total: int


def part_of(items: Sequence[Any], *, limit: int = 10, offset: int = 0) -> Listed:
    """A part of a list that is there whole."""
    return Listed(items[offset : offset + limit], len(items))


def write_cursor(at: datetime, key: str | int) -> str:
    """The place after a row in a list by time: its time, and what tells it from others of the same time."""
    return base64.urlsafe_b64encode(orjson.dumps([at.isoformat(), key])).decode().rstrip("=")


def read_cursor(cursor: str, kind: type[Key]) -> tuple[datetime, Key]:
    """Raises ValidationFailed for anything that `write_cursor` did not make of a key of this kind."""
    try:
        at, key = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        when = datetime.fromisoformat(at)
        if when.tzinfo is None or type(key) is not kind or "\0" in str(key) or (isinstance(key, int) and key > LARGEST):
            raise ValueError("not a place in the list")
    except (ValueError, TypeError, binascii.Error) as error:
        raise ValidationFailed(
            "The cursor is not one of ours", details={"fields": {"cursor": ["Take it from next_cursor."]}}
        ) from error
    return when, key
