"""Lines for COPY, and their hashes."""

from __future__ import annotations

import pytest

from syncapp.errors import InvalidRecord
from syncapp.merge.encode import encode_line, hash_salt, row_hash
from syncapp.merge.table import Column, Table
from syncapp.records import Row

TABLE = Table(
    "things", (Column("a"), Column("n", "integer"), Column("f", "number"), Column("b", "boolean"), Column("j", "json"))
)
SALT = hash_salt(TABLE, mock=False)


def line(*values: object) -> str:
    row_hash(TABLE, Row("key", values), SALT)
    return encode_line(TABLE, "key", values)


def test_values_by_their_kind() -> None:
    assert line("x", 1, 1.5, True, {"b": [1], "a": None}) == 'key\tx\t1\t1.5\tt\t{"a":null,"b":[1]}'
    assert line(None, None, None, None, None) == "key" + "\t\x01" * 5


def test_what_copy_would_misread_is_escaped() -> None:
    assert line("a\tb\nc\\d\re\x01", None, None, None, None) == "key\ta\\tb\\nc\\\\d\\re\\x01" + "\t\x01" * 4


def test_equal_rows_have_equal_hashes_and_others_not() -> None:
    def hashed(*values: object, salt: int = SALT) -> int:
        return row_hash(TABLE, Row("key", values), salt)

    assert hashed("x", 1, None, None, {"a": 1, "b": 2}) == hashed("x", 1, None, None, {"b": 2, "a": 1})
    assert hashed("x", 1, None, None, None) != hashed("x", 2, None, None, None)
    assert hashed("x", None, None, None, None) != hashed("x", None, None, None, None, salt=hash_salt(TABLE, mock=True))
    assert hashed("x", None, 10**30, None, None) != hashed("x", None, 10**30 + 10**15, None, None)
    assert -(2**63) <= hashed("x", None, None, None, None) < 2**63


@pytest.mark.parametrize(
    "values",
    [
        ("\x00", 1, 1.0, True, None),
        ("\ud800", 1, 1.0, True, None),
        ("x", 2**63, 1.0, True, None),
        ("x", "1", 1.0, True, None),
        ("x", 1, float("inf"), True, None),
        ("x", 1, float("nan"), True, None),
        ("x", True, 1.0, True, None),
        (5, 1, 1.0, True, None),
        ("x", 1, 1.0, True, {1, 2}),
        ("x" * 2_000_000, 1, 1.0, True, None),
    ],
)
def test_what_postgresql_cannot_hold_is_one_bad_record(values: tuple[object, ...]) -> None:
    with pytest.raises(InvalidRecord) as caught:
        line(*values)
    assert caught.value.external_id == "key"
