"""Records of Cliniko as rows: each column is the vendor's field of that name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date
from typing import Any
from urllib.parse import urlsplit

from syncapp.definition import Normalize
from syncapp.errors import InvalidRecord
from syncapp.fields import MAX_KEY, read_boolean, read_integer, read_key, read_text, read_time
from syncapp.merge.table import Column, Table
from syncapp.records import Json, Row

LONGEST_TEXT = 500_000  # notes have no bound that the vendor names
Read = Callable[[dict[str, Any], str, str], Any]


def normalizer(table: Table) -> Normalize:
    """Makes a record of Cliniko a row of `table`, whose last column is `deleted_at`. Ids are texts of 19 digits.

    A column that ends with `_id` is the last part of the link that stands under the name without it: records name
    others by links alone.
    """
    columns = [(column.name, _reader(column)) for column in table.columns]

    def normalize(record: Any) -> Row:
        key = read_key(record)
        updated = read_time(record.get("updated_at"), "updated_at", key, UTC)
        return Row(key, tuple([read(record, name, key) for name, read in columns]), updated)

    return normalize


def _reader(column: Column) -> Read:
    return _reference if column.name.endswith("_id") else READERS[column.kind]


def _text(record: dict[str, Any], name: str, key: str) -> str | None:
    return read_text(record, name, key, longest=LONGEST_TEXT)


def _reference(record: dict[str, Any], name: str, key: str) -> str | None:
    if name in record:
        return read_text(record, name, key)
    target = record.get(name.removesuffix("_id"))
    if target is None:
        return None
    try:
        link = target["links"]["self"]
        found = str(urlsplit(link).path.rstrip("/").rpartition("/")[2])
    except (TypeError, KeyError, AttributeError, ValueError):
        found = ""
    if not found or len(found) > MAX_KEY or not found.isprintable():
        raise InvalidRecord(f"the link to {name.removesuffix('_id')} cannot be read", external_id=key)
    return found


def _integer(record: dict[str, Any], name: str, key: str) -> int | None:
    """The table has 32 bits for it."""
    value = read_integer(record, name, key)
    if value is not None and abs(value) >= 2**31:
        raise InvalidRecord(f"{name} is not a whole number", external_id=key)
    return value


def _date(record: dict[str, Any], name: str, key: str) -> str | None:
    text = read_text(record, name, key)
    try:
        return text and date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidRecord(f"{name} cannot be read as a date", external_id=key) from None


def _time(record: dict[str, Any], name: str, key: str) -> str | None:
    return read_time(record.get(name), name, key, UTC)


def _tree(record: dict[str, Any], name: str, _: str) -> Json:
    value = record.get(name)
    return None if value == "" else value


READERS: dict[str, Read] = {
    "text": _text,
    "integer": _integer,
    "boolean": read_boolean,
    "date": _date,
    "timestamp": _time,
    "json": _tree,
}
