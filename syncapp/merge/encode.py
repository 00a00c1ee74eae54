"""Rows as lines of PostgreSQL's COPY text format, and the hashes that tell which of them have to travel at all."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import orjson
from xxhash import xxh3_64_intdigest

from syncapp.errors import InvalidRecord
from syncapp.merge.table import Table
from syncapp.records import Json, Row

NULL = "\x01"  # stands for NULL in the lines: unlike \N it needs no look at every backslash
MAX_LINE = 1_048_576
HALF, SIGN = 2**63, 2**64  # PostgreSQL's bigint has a sign
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", NULL: "\\x01"})


class Encoded(NamedTuple):
    """A row, the record it was made of, its line without the newline, and the 64-bit hash of all its columns."""

    row: Row
    record: Json
    line: str
    hash: int


def row_hash(table: Table, row: Row, salt: int) -> int:
    """The 64-bit hash of the row's key and values; the order of the names in a JSON object has no part in it.

    Much cheaper than the line, which only rows that differ need. Raises InvalidRecord for a part of what PostgreSQL
    cannot hold; the rest is found by `encode_line`: a row that was never written has no hash to be equal to.
    """
    try:
        data = orjson.dumps((row.key, row.values), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a number of more than 64 bits, or a value that is wrong
        data = _line_bytes(table, row)
    if b"null" in data:  # which orjson also makes of numbers that are not finite
        _check_finite(table, row)
    number: int = xxh3_64_intdigest(data, salt)
    return number - SIGN if number >= HALF else number


def _line_bytes(table: Table, row: Row) -> bytes:
    try:
        return encode_line(table, row.key, row.values).encode()
    except UnicodeEncodeError:
        raise InvalidRecord("a text is not valid Unicode (half a surrogate pair)", external_id=row.key) from None


def _check_finite(table: Table, row: Row) -> None:
    for position in table.numbers:
        value = row.values[position]
        if type(value) is float and not isfinite(value):
            raise InvalidRecord("a number is not finite", external_id=row.key)


def encode_line(table: Table, key: str, values: tuple[Any, ...]) -> str:
    """Raises InvalidRecord for what PostgreSQL cannot hold: NUL, numbers out of range, wrong types, 1 MiB."""
    cells = [key, *values]
    try:
        for position, encode in table.encoders:
            value = cells[position + 1]
            if value is not None:
                cells[position + 1] = encode(value)
        nulls = cells.count(None)
        line = "\t".join([NULL if cell is None else cell for cell in cells] if nulls else cells)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRecord(f"a value has the wrong type: {error}", external_id=key) from None
    if "\x00" in line:
        raise InvalidRecord("a text contains NUL, which PostgreSQL cannot hold", external_id=key)
    if len(line) > MAX_LINE:
        raise InvalidRecord(f"the record is larger than {MAX_LINE:,} characters", external_id=key)
    plain = "\\" not in line and "\n" not in line and "\r" not in line
    if plain and line.count("\t") == len(values) and line.count(NULL) == nulls:
        return line
    return "\t".join([NULL if cell is None else cell.translate(ESCAPES) for cell in cells])


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
