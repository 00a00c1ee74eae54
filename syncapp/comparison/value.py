"""The one form of all equal values, and what identifies the elements of a list in it."""

from __future__ import annotations

import json
from operator import itemgetter

import orjson
from xxhash import xxh3_64_hexdigest

from syncapp.comparison.field import identity_text
from syncapp.comparison.place import Lists, Place, root
from syncapp.records import Json

EXACT = 2**53  # below it, every whole number is a float too


def canonical(value: Json, lists: Lists) -> Json:
    """The one form of all equal values, made of new objects and lists; None where nothing is left.

    None, "", [] and {} are left out wherever they stand. Whole numbers below 2**53 are ints; beyond it an int and a
    float are two values. Lists named in `lists` are sorted by identity, elements that share one by their content.
    """
    return canonical_at(value, root(lists))


def canonical_at(value: Json, place: Place) -> Json:
    """The same for a value that stands somewhere within a document."""
    kind = type(value)
    if kind is str:
        return value or None
    if kind is dict:
        names, others = place.names, place.others
        members = {}
        for name, member in value.items():
            kept = canonical_at(member, names.get(name, others))
            if kept is not None:
                members[name] = kept
        return members or None
    if kind is list:
        within = place.elements
        elements = [kept for element in value if (kept := canonical_at(element, within)) is not None]
        return (_by_identity(elements, place.members) if place.members else elements) or None
    if kind is float and value.is_integer() and -EXACT < value < EXACT:
        return int(value)
    return value


def _by_identity(elements: list[Json], members: tuple[str, ...]) -> list[Json]:
    pairs = [(identify(element, members), element) for element in elements]
    if len({identity for identity, _ in pairs}) == len(pairs):
        pairs.sort(key=itemgetter(0))
    else:
        pairs.sort(key=lambda pair: (pair[0], _content(pair[1])))
    return [element for _, element in pairs]


def identify(element: Json, members: tuple[str, ...]) -> str:
    """What tells a canonical element from others, as a field has it in brackets: its members, else all its content."""
    if type(element) is dict:
        values = [element.get(member) for member in members]
        texts = ["" if value is None or type(value) in {dict, list} else str(value) for value in values]
        if any(texts):
            return identity_text(texts)
    return "#" + xxh3_64_hexdigest(_content(element))[:12]


def _content(value: Json) -> bytes:
    """The same bytes for the same canonical value, others for any other."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a number of more than 64 bits, half a surrogate pair
        return json.dumps(value, sort_keys=True).encode()


def same(one: Json, other: Json) -> bool:
    """Whether two canonical values are one. Python holds True and 1 to be equal, however deep inside they stand."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
