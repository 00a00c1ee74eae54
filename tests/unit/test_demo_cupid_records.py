"""What the stand-in for Cupid generates: the traps of the real service, languages, changes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from syncapp.demo.cupid import change_something
from syncapp.demo.cupid_languages import say, translate
from syncapp.demo.cupid_records import make_property, make_records, property_ids
from tests.cupid_demo import LANGUAGES

FIRST, SECOND = property_ids()[:2]
RECORDS = make_records(1, property_ids())
PROPERTIES = RECORDS["properties"]
ROOMS = [room for row in PROPERTIES for room in row["rooms"]]
REVIEWS = [review for row in RECORDS["reviews"] for review in row["reviews"]]
NOW = datetime(2026, 6, 30, 12, 0, 0, tzinfo=UTC)
FIELDS = """
    hotel_id cupid_id main_image_th hotel_type hotel_type_id chain chain_id latitude longitude hotel_name phone fax
    email address stars airport_code rating review_count checkin parking group_room_min child_allowed pets_allowed
    photos description markdown_description important_info facilities policies rooms reviews
"""
PHOTO = "url hd_url image_description image_class1 image_class2 main_photo score class_id class_order"
ROOM = """
    id room_name description room_size_square room_size_unit hotel_id max_adults max_children max_occupancy
    bed_relation bed_types room_amenities photos
"""
REVIEW = "average_score country type name date headline language pros cons source"
TRANSLATED = {
    "description",
    "markdown_description",
    "important_info",
    "photos.image_description",
    "facilities.name",
    "policies.name",
    "rooms.room_name",
    "rooms.description",
    "rooms.photos.image_description",
}


def fields(rows: list[Any]) -> set[frozenset[str]]:
    return {frozenset(row) for row in rows}


def named(*names: str) -> set[frozenset[str]]:
    return {frozenset(some.split()) for some in names}


def test_the_same_seed_makes_the_same_records_whatever_else_is_made() -> None:
    alone = {name: [row for row in rows if row["hotel_id"] == SECOND] for name, rows in RECORDS.items()}
    assert make_records(1, [SECOND]) == alone
    assert make_property(2, SECOND) != make_property(1, SECOND)
    assert len({row["hotel_id"] for row in PROPERTIES}) == 100


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_property_has_50_to_150_kilobytes(seed: int) -> None:
    sizes = [len(orjson.dumps(make_property(seed, id))) for id in property_ids()]
    assert 50_000 < min(sizes) < max(sizes) < 150_000


def test_every_field_of_the_service() -> None:
    assert fields(PROPERTIES) == named(FIELDS)
    assert fields([photo for row in (*PROPERTIES, *ROOMS) for photo in row["photos"]]) == named(PHOTO)
    assert fields(ROOMS) == named(ROOM, f"{ROOM} views")
    assert fields(REVIEWS) == named(REVIEW, f"{REVIEW} review_id")
    assert [sum(photo["main_photo"] for photo in row["photos"]) for row in PROPERTIES] == [1] * 100
    kinds = {policy["policy_type"] for row in PROPERTIES for policy in row["policies"]}
    assert kinds == {f"POLICY_{name}" for name in ("HOTEL_PARKING", "CHILDREN", "HOTEL_PETS", "HOTEL_INTERNET")}


def test_texts_that_are_not_there_are_empty() -> None:
    for name in ("chain", "fax", "email", "airport_code", "important_info"):
        found = {row[name] for row in PROPERTIES}
        assert "" in found, name
        assert len(found) > 2, name
    for name in ("postal_code", "state"):
        assert "" in {row["address"][name] for row in PROPERTIES}, name
    assert {row["checkin"]["checkin_end"] for row in PROPERTIES} == {"", "23:00"}
    assert {policy["child_allowed"] for row in PROPERTIES for policy in row["policies"]} == {"", "yes"}
    assert "" in {room["description"] for room in ROOMS}
    for name in ("pros", "cons", "headline", "type", "country"):
        assert "" in {review[name] for review in REVIEWS}, name


def test_types_that_are_not_what_they_seem() -> None:
    assert all(room["hotel_id"] == str(row["hotel_id"]) for row in PROPERTIES for room in row["rooms"])
    assert {type(row["group_room_min"]) for row in PROPERTIES} == {int, type(None)}
    assert {row["reviews"] for row in PROPERTIES} == {None}
    sizes = [room["room_size_square"] for room in ROOMS]
    assert {(type(size), bool(size % 1)) for size in sizes} == {(int, False), (float, False), (float, True)}
    kinds = {frozenset(type(one) for one in row["checkin"]["instructions"]) for row in PROPERTIES}
    assert kinds == {frozenset(some) for some in ((), (str,), (dict,), (str, dict))}


def test_descriptions_are_html_and_markdown() -> None:
    for row in PROPERTIES:
        assert re.match(r"<p><strong>\w+</strong><br/>", row["description"])
        assert row["markdown_description"].startswith("**")
        assert "<" not in row["markdown_description"]
    assert any("&amp;" in row["description"] for row in PROPERTIES)
    assert any("& " in row["markdown_description"] for row in PROPERTIES)


def test_as_many_reviews_as_are_counted() -> None:
    counts = [row["review_count"] for row in PROPERTIES]
    assert counts == [len(row["reviews"]) for row in RECORDS["reviews"]]
    assert 20 <= min(counts) < 40 < 250 < max(counts) <= 300
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", review["date"]) for review in REVIEWS)
    assert {review["average_score"] for review in REVIEWS} >= {5, 6, 7, 8, 9, 10}
    ids = [review["review_id"] for review in REVIEWS if "review_id" in review]
    assert len(set(ids)) == len(ids) < len(REVIEWS)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything that holds nothing else, with the names that lead to it, in order."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_that_have_a_language_differ_and_nothing_else(language: str) -> None:
    differing = set()
    for row in PROPERTIES[:30]:
        for (path, own), (same, other) in zip(leaves(row), leaves(translate(row, language)), strict=True):
            assert path == same
            if path != "hotel_name":
                assert (own != other) == (path in TRANSLATED and own != ""), (path, own)
            if own != other:
                differing.add(path)
    assert differing == TRANSLATED | {"hotel_name"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_names_of_hotels_stay(language: str) -> None:
    moved = [row for row in PROPERTIES if translate(row, language)["hotel_name"] != row["hotel_name"]]
    assert 5 <= len(moved) <= 30


def test_a_text_is_said_in_other_words_or_marked() -> None:
    assert say("Breakfast & parking for the family", "fr") == "Petit-déjeuner & stationnement pour le famille"
    assert say("Sauna", "es") == "Sauna (es)"
    assert say("", "es") == ""


def test_what_a_test_has_broken_stays_broken_in_every_language() -> None:
    broken = {"hotel_id": 1, "hotel_name": None, "photos": "none", "rooms": [None, {"room_name": 5}], "policies": {}}
    assert translate(broken, "fr") == broken


def test_things_happen_to_hotels() -> None:
    records, chosen, seen = make_records(1, [FIRST, SECOND]), random.Random(4), set()
    for number in range(60):
        before = orjson.dumps(records)
        said = change_something(records, chosen, NOW + timedelta(minutes=number))
        assert orjson.dumps(records) != before
        found = re.fullmatch(rf"property ({FIRST}|{SECOND}): (rating|no longer|now with|a review by) .+", said)
        assert found is not None, said
        seen.add(found[2])
    assert seen == {"rating", "no longer", "now with", "a review by"}
    for row, kept in zip(records["properties"], records["reviews"], strict=True):
        assert row["review_count"] == len(kept["reviews"])
        ids = [review["review_id"] for review in kept["reviews"] if "review_id" in review]
        assert len(set(ids)) == len(ids)


def test_nothing_happens_where_there_is_no_hotel_and_a_new_one_gets_its_first_review() -> None:
    assert change_something({"properties": [], "reviews": []}, random.Random(1), NOW).startswith("none")
    records = {"properties": [make_property(1, FIRST)], "reviews": []}
    chosen = random.Random(1)
    while not records["reviews"]:
        change_something(records, chosen, NOW)
    assert records["properties"][0]["review_count"] == 1
