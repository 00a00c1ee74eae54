"""The names of fields: `address.city`, `rooms[12].bed_types[3].quantity`. People read them, and they are parsed.

A backslash stands before each `\\`, `.`, `[` and `]` that belongs to a name or an identity, and before each `#` that
belongs to an identity. A `#` without one is ours: `[#2f9a0c51b7de]` is an element that has no identity, by the hash of
its content; `[12#2]` is the second of the elements that share the identity 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

PART = r"(?:[^\\.\[\]]|\\.)*"
STEP = re.compile(rf"\.{PART}|\[{PART}\]")
ESCAPED = re.compile(r"\\(.)")
IN_NAME, IN_IDENTITY, IN_JOINED = (
    str.maketrans({sign: "\\" + sign for sign in signs}) for signs in (r"\.[]", r"\.[]#", r"\.[]#,")
)


class Step(NamedTuple):
    """A step to the member of an object, by its name; or to an element, by what stands in the brackets."""

    is_member: bool
    key: str
    text: str  # as it stands in a field: `.name`, `[identity]`


def split(field: str) -> list[str]:
    """The steps of a field as they stand in it, `.rooms`, `[12]`, `.name`. Raises ValueError for what is no field."""
    steps = STEP.findall("." + field)
    if sum(map(len, steps)) != len(field) + 1:
        raise ValueError(f"{field!r} is not the name of a field")
    return steps


def parse(field: str) -> list[Step]:
    """Raises ValueError for what is no field."""
    return [
        Step(True, unescape(text[1:]), text) if text[0] == "." else Step(False, text[1:-1], text)
        for text in split(field)
    ]


def join(steps: Iterable[Step]) -> str:
    """The field that has these steps."""
    return "".join([step.text for step in steps])[1:]


def unescape(text: str) -> str:
    return ESCAPED.sub(r"\1", text)


def keys_of(field: str) -> list[str]:
    """Its names and identities as they stand in the document: `rooms`, `12`, `max_adults`."""
    return [unescape(step.key) for step in parse(field)]


def top(field: str) -> str:
    """The first name of a field as it stands in the document: `rooms` of `rooms[12].max_adults`."""
    return parse(field)[0].key


def member_text(name: str) -> str:
    """The step to a member."""
    return "." + name.translate(IN_NAME)


def identity_text(texts: list[str]) -> str:
    """The identity of an element from the texts that make it up."""
    if len(texts) == 1:
        return texts[0] if texts[0].isalnum() else texts[0].translate(IN_IDENTITY)
    return ",".join([text.translate(IN_JOINED) for text in texts])
