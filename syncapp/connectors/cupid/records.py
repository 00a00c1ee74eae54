"""Properties of Cupid as rows: each column is Cupid's field of that name, in the one form of all equal values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from xxhash import xxh3_64_hexdigest

from syncapp.comparison import Lists, canonical, compare_canonical, keys_of
from syncapp.definition import Normalize
from syncapp.errors import InvalidRecord
from syncapp.fields import read_boolean, read_integer, read_number, read_text
from syncapp.merge.table import Table
from syncapp.records import Json, Row

LISTS: Lists = {
    "facilities": "facility_id",
    "photos": "url",
    "policies": "id",
    "reviews": "review_id",
    "rooms": "id",
    "rooms[].bed_types": "id",
    "rooms[].photos": "url",
    "rooms[].room_amenities": "amenities_id",
    "rooms[].views": "id",
}
LONGEST_TEXT = 1_000_000
NAMELESS = "#"
RULES = 1  # one more whenever rows are made of the same answers in another way: nothing is unchanged then
OURS = ("reviews", "translations", "extra")
NOT_EXTRA = frozenset({"hotel_id", "reviews"})  # the key; always null where a property is asked for
Read = Callable[[dict[str, Any], str, str], Any]


def normalizer(table: Table) -> Normalize:
    """Makes what the source brought of a property a row of `table`.

    Its last three columns are the reviews, with an id each; the translations, by language an object of the texts that
    differ (`{"rooms": {"12": {"room_name": …}}}`); and what the property has beside the fields that are known.
    """
    columns = [(column.name, READERS[column.kind]) for column in table.columns if column.name not in OURS]
    known = NOT_EXTRA.union(name for name, _ in columns)

    def normalize(record: Any) -> Row:
        key = str(record["property_id"])
        if "property" not in record:
            return Row(key, (), unchanged=True)
        try:
            return Row(key, read(record, key))
        except RecursionError:
            raise InvalidRecord("it is nested too deeply", external_id=key) from None

    def read(record: Any, key: str) -> tuple[Any, ...]:
        document = _document(record["property"], key, "the property")
        values = [read(document, name, key) for name, read in columns]
        translations = {
            language: _translation(document, _document(content, key, f"its translation {language}"))
            for language, content in record["translations"].items()
            if content is not None
        }
        extra = {name: value for name, value in document.items() if name not in known}
        ours = (_reviews(record["reviews"], key), canonical(translations, {}), extra or None)
        return (*values, *ours)

    return normalize


def _document(content: Json, key: str, what: str) -> dict[str, Json]:
    """Raises InvalidRecord where it is of another property, or of none."""
    if not isinstance(content, dict):
        raise InvalidRecord(f"{what} is not an object but {type(content).__name__}", external_id=key)
    document: dict[str, Json] = canonical(content, LISTS) or {}
    named = document.get("hotel_id")
    if str(named) != key:
        raise InvalidRecord(f"{what} came with the hotel_id {str(named)[:40]}", external_id=key)
    return document


def _reviews(content: Json, key: str) -> Json:
    """Those without an id get one of what makes them out."""
    if content is None:
        return None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise InvalidRecord("its reviews are not a list of objects", external_id=key)
    named = [one if one.get("review_id") else {**one, "review_id": _review_id(one, key)} for one in content]
    return (canonical({"reviews": named}, LISTS) or {}).get("reviews")


def _review_id(review: dict[str, Json], key: str) -> str:
    told = [key, *(review.get(name) for name in ("name", "date", "headline"))]
    return f"h{xxh3_64_hexdigest(json.dumps(told).encode())}"


def _translation(document: dict[str, Json], translated: dict[str, Json]) -> dict[str, Json]:
    """The texts that differ from the property itself, each where it stands there: elements of lists by what identifies
    them. What is missing is as it is there; numbers are not translated, they were read a moment later. An element
    that has no identity is another one in another language: it comes whole.
    """
    texts: dict[str, Json] = {}
    for field, _, new in compare_canonical(document, translated, LISTS):
        *way, name = keys_of(field)
        if isinstance(new, str | list) or (isinstance(new, dict) and name.startswith(NAMELESS)):
            inner = texts
            for step in way:
                inner = inner.setdefault(step, {})
            inner[name] = new
    return texts


def _text(record: dict[str, Any], name: str, key: str) -> str | None:
    return read_text(record, name, key, longest=LONGEST_TEXT)


def _tree(record: dict[str, Any], name: str, _: str) -> Json:
    return record.get(name)


READERS: dict[str, Read] = {
    "text": _text,
    "integer": read_integer,
    "number": read_number,
    "boolean": read_boolean,
    "json": _tree,
}
