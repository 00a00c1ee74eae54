"""Rows as lines of PostgreSQL's COPY, and the hashes that tell which of them have to travel at all.

JSON's writer makes both at once: an array of a row's key and values is, without its brackets, a line of CSV whose
quotes are escaped with backslashes. Only what the two forms do not share is written by hand: control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import orjson
from xxhash import xxh3_64_intdigest

from syncapp.errors import InvalidRecord
from syncapp.merge.table import ColumnKind, Table
from syncapp.records import Row

COPY_FORMAT = r"""FORMAT csv, QUOTE '"', ESCAPE '\', NULL 'null'"""
HALF, SIGN = 2**63, 2**64  # PostgreSQL's bigint has a sign


Hashed = tuple[int, bytes]
"""A row's 64-bit hash, and its line as JSON's writer makes it; empty where JSON cannot hold the row."""

Encoded = tuple[str, bytes, int]
"""A row's key, its line without the newline, and its hash."""


def hash_row(table: Table, row: Row, salt: int) -> Hashed:
    """The order of the names in a JSON object has no part in the hash. What a row carries of others has.

    Raises InvalidRecord for a part of what PostgreSQL cannot hold; the rest is found by `encode_line`: a row that was
    never written has no hash to be equal to.
    """
    key, values, related = row.key, row.values, row.related
    try:
        data = hashed = orjson.dumps((key, *(_cells(table, values) if table.trees else values)))
        if related:
            hashed += orjson.dumps({name: (one.key, one.values) for name, one in related.items()})
    except orjson.JSONEncodeError:  # a number of more than 64 bits, or a value that is wrong
        data, hashed = b"", encode_line(table, key, values)
    if b"null" in data:  # which orjson also makes of numbers that are not finite
        _check_finite(row)
    number: int = xxh3_64_intdigest(hashed, salt)
    # A copy without the brackets: orjson leaves four times the room that it needs behind what it has written.
    return number - SIGN if number >= HALF else number, data[1:-1]


def _cells(table: Table, values: tuple[Any, ...]) -> list[Any]:
    """JSON stands as text in a cell of CSV."""
    cells = list(values)
    for position in table.trees:
        if cells[position] is not None:
            cells[position] = orjson.dumps(cells[position], option=orjson.OPT_SORT_KEYS).decode()
    return cells


def _check_finite(row: Row) -> None:
    for value in row.values:
        if type(value) is float and not isfinite(value):
            raise InvalidRecord("a number is not finite", external_id=row.key)


def have_right_types(table: Table, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether all values are what their columns hold. Cheaper by the column than by the row."""
    columns = zip(table.columns, zip(*rows, strict=True), strict=True)
    return all(
        set(map(type, values)) <= TYPES[column.kind]
        and (column.kind != "integer" or max(filter(None, values), default=0) < HALF)  # JSON has one bit more
        for column, values in columns
    )


def encode_line(table: Table, key: str, values: tuple[Any, ...], line: bytes = b"") -> bytes:
    """The line of a row: as JSON's writer made it, where all types are known to be right; else written by hand.

    Raises InvalidRecord for what PostgreSQL cannot hold: NUL, numbers out of range, wrong types, too many bytes.
    """
    if not line or _has_control_characters(line):
        line = _write(table, key, values)
    if len(line) > table.largest:
        raise InvalidRecord(f"the record is larger than {table.largest:,} bytes", external_id=key)
    return line


def _has_control_characters(line: bytes) -> bool:
    """JSON escapes them, and CSV does not; of quotes and backslashes both think alike."""
    return b"\\" in line and b"\\" in line.replace(rb"\\", b"").replace(rb"\"", b"")


def _write(table: Table, key: str, values: tuple[Any, ...]) -> bytes:
    kinds = (column.kind for column in table.columns)
    try:
        cells = ["null" if value is None else WRITERS[kind](value) for kind, value in zip(kinds, values, strict=True)]
        return ",".join([_text(key), *cells]).encode()
    except UnicodeEncodeError:
        raise InvalidRecord("a text is not valid Unicode (half a surrogate pair)", external_id=key) from None
    except NulFound:
        raise InvalidRecord("a text contains NUL, which PostgreSQL cannot hold", external_id=key) from None
    except (TypeError, ValueError) as error:
        raise InvalidRecord(f"a value has the wrong type: {error}", external_id=key) from None


class NulFound(Exception):
    """PostgreSQL holds every character but this one."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a text")
    if "\x00" in value:
        raise NulFound
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _integer(value: Any) -> str:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("a whole number that is out of range, or none")
    return str(value)


def _number(value: Any) -> str:
    if type(value) not in {int, float} or not isfinite(value):
        raise ValueError("a number that is not finite, or none")
    return repr(value)


def _boolean(value: Any) -> str:
    if type(value) is not bool:
        raise TypeError(f"{type(value).__name__} in place of true or false")
    return "true" if value else "false"


def _tree(value: Any) -> str:
    return _text(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


WRITERS: dict[ColumnKind, Callable[[Any], str]] = {
    "text": _text,
    "date": _text,
    "timestamp": _text,  # RFC 3339, made by the normalizer
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "json": _tree,
}
ABSENT = type(None)
TYPES: dict[ColumnKind, frozenset[type]] = {
    "text": frozenset({str, ABSENT}),
    "date": frozenset({str, ABSENT}),
    "timestamp": frozenset({str, ABSENT}),
    "integer": frozenset({int, ABSENT}),
    "number": frozenset({int, float, ABSENT}),
    "boolean": frozenset({bool, ABSENT}),
    "json": frozenset({dict, list, str, int, float, bool, ABSENT}),
}


def hash_salt(table: Table, *, mock: bool) -> int:
    """Another set of columns makes all hashes new: the next complete read fills a column that was added."""
    layout = ",".join(f"{column.name}:{column.kind}" for column in table.columns)
    return int(xxh3_64_intdigest(f"{layout}|{mock}".encode()))


def array_text(texts: Sequence[str]) -> str:
    """An array of texts as PostgreSQL reads one: a tenth of what psycopg needs to send a list."""
    joined = '","'.join(texts)
    if "\\" in joined or joined.count('"') != 2 * max(len(texts) - 1, 0):
        joined = '","'.join([text.replace("\\", "\\\\").replace('"', '\\"') for text in texts])
    return f'{{"{joined}"}}' if texts else "{}"
