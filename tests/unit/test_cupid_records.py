"""Properties of Cupid as rows: types, traps, translations, ids of reviews."""

from __future__ import annotations

from typing import Any

import pytest

from syncapp.connectors.cupid import normalizer
from syncapp.errors import InvalidRecord
from syncapp.syncs.properties import TABLE

NORMALIZE = normalizer(TABLE)


def property_(**changes: Any) -> dict[str, Any]:
    return {"hotel_id": 7, "hotel_name": "Seven", "stars": 4, "rating": 8.5, "reviews": None} | changes


def row(content: Any = None, reviews: Any = (), **translations: Any) -> dict[str, Any]:
    found = NORMALIZE(
        {
            "property_id": 7,
            "property": property_() if content is None else content,
            "reviews": list(reviews) if isinstance(reviews, tuple) else reviews,
            "translations": translations,
        }
    )
    assert found.key == "7"
    return dict(zip(TABLE.names, found.values, strict=True))


def test_what_is_empty_is_absent() -> None:
    empty = row(property_(phone="", fax=None, group_room_min=None, checkin={"checkout": "", "instructions": []}))
    assert (empty["phone"], empty["fax"], empty["group_room_min"], empty["checkin"], empty["extra"]) == (None,) * 5


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("stars", 4.0, 4),
        ("stars", "4", 4),
        ("stars", 4.5, 4.5),
        ("cupid_id", "1234", 1234),
        ("cupid_id", 1234.0, 1234),
        ("child_allowed", False, False),
        ("phone", 5550100, "5550100"),
        ("hotel_name", " Seven ", "Seven"),
        ("address", "High Street 1", "High Street 1"),
    ],
)
def test_the_same_in_another_type_is_the_same(name: str, value: Any, kept: Any) -> None:
    found = row(property_(**{name: value}))[name]
    assert (found, type(found)) == (kept, type(kept))


def test_lists_come_in_one_order() -> None:
    rooms = [{"id": 2, "hotel_id": "7", "room_size_square": 21.0}, {"id": 1, "bed_types": [{"id": 9}, {"id": 3}]}]
    assert row(property_(rooms=rooms))["rooms"] == [
        {"id": 1, "bed_types": [{"id": 3}, {"id": 9}]},
        {"id": 2, "hotel_id": "7", "room_size_square": 21},
    ]


def test_a_translation_holds_what_differs() -> None:
    base = property_(rooms=[{"id": 1, "room_name": "Double room", "max_adults": 2}], description="Nice", fax="1")
    french = property_(rooms=[{"id": 1, "room_name": "Chambre double", "max_adults": 2}], description="", fax="1")
    found = row(base, fr=french, es=None, de=base)
    assert found["translations"] == {"fr": {"rooms": {"1": {"room_name": "Chambre double"}}}}


def test_what_changed_between_two_requests_is_no_translation() -> None:
    found = row(property_(rating=8.5, chain=""), fr=property_(rating=8.7, chain="Chaîne", address={"city": "x"}))
    assert found["translations"] == {"fr": {"chain": "Chaîne"}}


def test_reviews_have_an_id_of_what_makes_them_out() -> None:
    told = {"name": "Ann", "date": "2025-06-30 10:00:00", "headline": "Good"}
    one, same, other = (
        row(reviews=[told | more])["reviews"][0]["review_id"] for more in ({}, {"pros": "x"}, {"name": "B"})
    )
    assert one == same != other
    assert row(reviews=[told | {"review_id": 5}])["reviews"][0]["review_id"] == 5


def test_what_is_unknown_is_kept() -> None:
    assert row(property_(energy="A", hotel_info=[1, 2]))["extra"] == {"energy": "A", "hotel_info": [1, 2]}


def test_one_that_is_as_it_was_has_no_values() -> None:
    found = NORMALIZE({"property_id": 7})
    assert (found.key, found.values, found.unchanged) == ("7", (), True)


@pytest.mark.parametrize(
    ("content", "reviews", "translations", "reason"),
    [
        ([], (), {}, "not an object but list"),
        ("x", (), {}, "not an object but str"),
        ({}, (), {}, "hotel_id None"),
        (property_(hotel_id=8), (), {}, "hotel_id 8"),
        (None, {"reviews": []}, {}, "not a list of objects"),
        (None, [1], {}, "not a list of objects"),
        (None, (), {"fr": [1]}, "translation fr is not an object"),
        (None, (), {"fr": property_(hotel_id="8")}, "translation fr came with the hotel_id 8"),
        (property_(stars=[4]), (), {}, "stars"),
        (property_(stars="1e400"), (), {}, "stars"),
        (property_(cupid_id=2**63), (), {}, "cupid_id"),
        (property_(review_count=True), (), {}, "review_count"),
        (property_(description="x" * 1_000_001), (), {}, "description"),
    ],
)
def test_what_cannot_be_used_says_why(content: Any, reviews: Any, translations: Any, reason: str) -> None:
    with pytest.raises(InvalidRecord, match=reason.replace("[", r"\[")) as refused:
        row(content, reviews, **translations)
    assert refused.value.external_id == "7"


def test_elements_without_an_identity_are_translated_as_a_whole() -> None:
    base = property_(policies=[{"name": "Pets"}, {"id": 1, "name": "Parking"}])
    french = property_(policies=[{"name": "Animaux"}, {"id": 1, "name": "Stationnement"}, {"id": 2, "name": "Nouveau"}])
    policies = row(base, fr=french)["translations"]["fr"]["policies"]
    assert policies.pop("1") == {"name": "Stationnement"}
    assert list(policies.values()) == [{"name": "Animaux"}]
