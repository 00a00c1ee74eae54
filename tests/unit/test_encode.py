"""Lines for COPY, and their hashes."""

from __future__ import annotations

import pytest

from syncapp.errors import InvalidRecord
from syncapp.merge.encode import encode_line, hash_row, hash_salt, have_right_types
from syncapp.merge.table import Column, Table
from syncapp.records import Row

TABLE = Table(
    "things", (Column("a"), Column("n", "integer"), Column("f", "number"), Column("b", "boolean"), Column("j", "json"))
)
SALT = hash_salt(TABLE, mock=False)


def line(*values: object) -> str:
    made = hash_row(TABLE, Row("key", values), SALT)[1]
    return encode_line(TABLE, "key", values, made if have_right_types(TABLE, [values]) else b"").decode()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("x", 1, 1.5, True, {"b": [1], "a": None}), r'''"x",1,1.5,true,"{\"a\":null,\"b\":[1]}"'''),
        ((None, None, None, None, None), "null,null,null,null,null"),
        (("null", None, 10**18, False, "text"), r'''"null",null,1000000000000000000,false,"\"text\""'''),
        ((r'a "quote", c:\n', None, -1, None, None), r""""a \"quote\", c:\\n",null,-1,null,null"""),
        (("a\tb\nc\\d\re\x01", None, None, None, None), '"a\tb\nc\\\\d\re\x01",null,null,null,null'),
        (("Grüße", None, None, None, {"a": "b\n"}), r'''"Grüße",null,null,null,"{\"a\":\"b\\n\"}"'''),
    ],
)
def test_both_ways_to_a_line_end_in_the_same(values: tuple[object, ...], expected: str) -> None:
    assert line(*values) == f'"key",{expected}'
    assert encode_line(TABLE, "key", values).decode() == line(*values)


def test_a_number_that_json_cannot_hold_is_written_by_hand() -> None:
    assert line("x", None, 10**30, None, None) == f'"key","x",null,{10**30},null,null'


def test_equal_rows_have_equal_hashes_and_others_not() -> None:
    def hashed(*values: object, salt: int = SALT) -> int:
        return hash_row(TABLE, Row("key", values), salt)[0]

    assert hashed("x", 1, None, None, {"a": 1, "b": 2}) == hashed("x", 1, None, None, {"b": 2, "a": 1})
    assert hashed("x", 1, None, None, None) != hashed("x", 2, None, None, None)
    assert hashed("x", None, None, None, None) != hashed("x", None, None, None, None, salt=hash_salt(TABLE, mock=True))
    assert hashed("x", None, 10**30, None, None) != hashed("x", None, 10**30 + 10**15, None, None)
    carried = [Row("key", ("x",), related={"r": Row("other", (name,))}) for name in "ab"]
    assert len({hash_row(Table("plain", (Column("a"),)), row, SALT)[0] for row in carried}) == 2
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
