"""What differs between a hotel as it was and as it is: named so that people can read it, and undone exactly."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from syncapp.comparison import Difference, Mismatch, apply, canonical, compare, inverse, top

LISTS = {
    "facilities": "facility_id",
    "photos": "url",
    "policies": "id",
    "rooms": "id",
    "rooms[].bed_types": "id",
    "rooms[].room_amenities": "amenities_id",
    "rooms[].photos": "url",
    "rooms[].views": "id",
    "reviews": "review_id",
    "translations.*.rooms": "id",
}
PARK = {"id": 2, "view": "Park"}
PROPERTY: dict[str, Any] = {
    "hotel_id": 1641879,
    "hotel_name": "The Grand",
    "stars": 4,
    "rating": 8.7,
    "fax": "",
    "group_room_min": None,
    "child_allowed": True,
    "address": {"address": "1 Strand", "city": "London", "state": "", "country": "gb", "postal_code": "WC2R"},
    "checkin": {"checkin_start": "15:00", "checkin_end": "", "instructions": ["Ring twice.", "Ask for Ann."]},
    "photos": [
        {"url": "https://x/b.jpg", "main_photo": False, "score": 4.0, "class_order": 2},
        {"url": "https://x/a.jpg", "main_photo": True, "score": 4.5, "class_order": 1},
    ],
    "facilities": [{"facility_id": 9, "name": "Lift"}, {"facility_id": 107, "name": "Pool"}],
    "policies": [{"id": 1, "policy_type": "POLICY_CHILDREN", "name": "Children", "pets_allowed": ""}],
    "rooms": [
        {
            "id": 12,
            "room_name": "Double",
            "room_size_square": 20.0,
            "hotel_id": "1641879",
            "max_adults": 2,
            "bed_types": [{"id": 3, "bed_type": "Queen", "quantity": 1}],
            "room_amenities": [{"amenities_id": 7, "name": "Kettle", "sort": 1}],
            "photos": [],
        },
        {"id": 15, "room_name": "Single", "max_adults": 1, "bed_types": [], "views": [PARK]},
    ],
    "reviews": None,
    "translations": {"fr": {"hotel_name": "Le Grand", "rooms": [{"id": 12, "room_name": "Double"}]}},
}


def changed(change: Any) -> dict[str, Any]:
    one = copy.deepcopy(PROPERTY)
    change(one)
    return one


def test_the_same_hotel_in_other_clothes() -> None:
    other = changed(lambda one: one["photos"].reverse())
    other["rooms"].reverse()
    other.update(stars=4.0, hotel_id=1641879.0, group_room_min="", reviews=[], parking={"note": [None]})
    other["rooms"][1].update(room_size_square=20, photos=[{}], views=None)
    del other["fax"], other["address"]["state"], other["policies"][0]["pets_allowed"]
    assert compare(PROPERTY, other, LISTS) == []
    assert json.dumps(canonical(PROPERTY, LISTS), sort_keys=True) == json.dumps(canonical(other, LISTS), sort_keys=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one.update(stars=5), [("stars", 4, 5)]),
        (lambda one: one.update(child_allowed=1), [("child_allowed", True, 1)]),
        (lambda one: one.update(fax="+44 20"), [("fax", None, "+44 20")]),
        (lambda one: one["address"].update(city="Londres"), [("address.city", "London", "Londres")]),
        (lambda one: one["address"].update(city=""), [("address.city", "London", None)]),
        (
            lambda one: one["checkin"]["instructions"].reverse(),
            [("checkin.instructions", ["Ring twice.", "Ask for Ann."], ["Ask for Ann.", "Ring twice."])],
        ),
        (
            lambda one: one["checkin"]["instructions"].append("Smile."),
            [("checkin.instructions", ["Ring twice.", "Ask for Ann."], ["Ring twice.", "Ask for Ann.", "Smile."])],
        ),
        (lambda one: one["checkin"].update(instructions="Ring."), [
            ("checkin.instructions", ["Ring twice.", "Ask for Ann."], "Ring."),
        ]),
        (lambda one: one["photos"][1].update(score=5), [(r"photos[https://x/a\.jpg].score", 4.5, 5)]),
        (lambda one: one["rooms"][0].update(max_adults=3), [("rooms[12].max_adults", 2, 3)]),
        (lambda one: one["rooms"][0].update(hotel_id=1641879), [("rooms[12].hotel_id", "1641879", 1641879)]),
        (
            lambda one: one["rooms"][0]["bed_types"][0].update(quantity=2),
            [("rooms[12].bed_types[3].quantity", 1, 2)],
        ),
        (
            lambda one: one["rooms"][0]["room_amenities"].pop(),
            [("rooms[12].room_amenities", [{"amenities_id": 7, "name": "Kettle", "sort": 1}], None)],
        ),
        (
            lambda one: one["rooms"].pop(),
            [("rooms[15]", {"id": 15, "room_name": "Single", "max_adults": 1, "views": [PARK]}, None)],
        ),
        (
            lambda one: one["facilities"].append({"facility_id": 8, "name": "Bar"}),
            [("facilities[8]", None, {"facility_id": 8, "name": "Bar"})],
        ),
        (lambda one: one.update(policies={"1": "Children"}), [
            ("policies", [{"id": 1, "policy_type": "POLICY_CHILDREN", "name": "Children"}], {"1": "Children"}),
        ]),
        (
            lambda one: one["facilities"][0].update(facility_id=10),
            [
                ("facilities[10]", None, {"facility_id": 10, "name": "Lift"}),
                ("facilities[9]", {"facility_id": 9, "name": "Lift"}, None),
            ],
        ),
        (
            lambda one: one["translations"]["fr"]["rooms"][0].update(room_name="Chambre"),
            [("translations.fr.rooms[12].room_name", "Double", "Chambre")],
        ),
        (
            lambda one: one.update(reviews=[{"review_id": 5, "pros": "Quiet", "cons": ""}]),
            [("reviews", None, [{"review_id": 5, "pros": "Quiet"}])],
        ),
    ],
)  # fmt: skip
def test_what_changed_is_named_and_undone(change: Any, expected: list[tuple[str, Any, Any]]) -> None:
    after = changed(change)
    found = compare(PROPERTY, after, LISTS)
    assert json.dumps(found) == json.dumps(expected)
    assert apply(PROPERTY, found, LISTS) == canonical(after, LISTS)
    assert apply(after, inverse(found), LISTS) == canonical(PROPERTY, LISTS)


def test_a_hotel_that_is_new_has_all_its_fields_and_one_that_is_gone_had_them() -> None:
    whole = canonical(PROPERTY, LISTS)
    assert compare(None, PROPERTY, LISTS) == [Difference(name, None, whole[name]) for name in sorted(whole)]
    assert compare(PROPERTY, None, LISTS) == inverse(compare({}, PROPERTY, LISTS))
    assert compare(None, {"fax": ""}, LISTS) == compare(None, None, LISTS) == []
    assert canonical({"a": [None, {"b": ""}]}, LISTS) is None
    assert apply(PROPERTY, compare(PROPERTY, None, LISTS), LISTS) == {}


def test_elements_without_an_identity_are_known_by_their_content() -> None:
    lists = {"reviews": "review_id"}
    before = {"reviews": [{"name": "Ann", "pros": "Quiet"}, {"name": "Bob"}]}
    after = {"reviews": [{"name": "Bob"}, {"pros": "Quiet", "name": "Ann", "cons": ""}, "Nice"]}
    (found,) = compare(before, after, lists)
    assert found == Difference("reviews[#31d33821a4b9]", None, "Nice")


def test_elements_that_share_an_identity_are_counted_in_the_order_of_their_content() -> None:
    lists = {"photos": "url", "beds": ("room", "no")}
    before = {"photos": [{"url": "x", "score": 9}, {"url": "x", "score": 1}, {"url": "x", "score": 5}, {"url": "x#2"}]}
    after = {"photos": [{"url": "x", "score": 9}, {"url": "x", "score": 1}, {"url": "x#2", "score": 2}]}
    assert [element.get("score") for element in canonical(before, lists)["photos"]] == [1, 5, 9, None]
    found = compare(before, after, lists)
    assert found == [
        Difference("photos[x#2].score", 5, 9),
        Difference("photos[x#3]", {"url": "x", "score": 9}, None),
        Difference(r"photos[x\#2].score", None, 2),
    ]
    assert apply(before, found[::-1], lists) == canonical(after, lists)
    assert apply(after, inverse(found), lists) == canonical(before, lists)


def test_a_number_and_a_text_may_share_an_identity_and_are_not_equal() -> None:
    lists = {"rooms": "id"}
    assert compare({"rooms": [{"id": 5, "a": 1}]}, {"rooms": [{"id": "5", "a": 1}]}, lists) == [
        Difference("rooms[5].id", 5, "5")
    ]
    both = {"rooms": [{"id": 5}, {"id": "5"}]}
    assert [one.field for one in compare({"rooms": [{"id": 7}]}, both, lists)] == ["rooms[5#2]", "rooms[5]", "rooms[7]"]


def test_several_members_identify_an_element_and_cannot_be_mistaken_for_others() -> None:
    lists = {"beds": ("room", "no")}
    beds = [{"room": "a,b", "no": "c"}, {"room": "a", "no": "b,c"}, {"no": 1}, {"room": 1}, {"room": {"a": 1}}]
    fields = [one.field for one in compare({"beds": [{"room": 0, "no": 0}]}, {"beds": beds}, lists)]
    assert fields[:-1] == ["beds[#cea718fdd4f3]", "beds[,1]", "beds[0,0]", "beds[1,]", r"beds[a,b\,c]"]
    assert fields[-1] == r"beds[a\,b,c]"


def test_values_that_json_writers_refuse_are_told_apart_all_the_same() -> None:
    lists = {"a": "id"}
    before, after = {"a": [2**70, "\ud800", -0.0]}, {"a": [2**70 + 1, 0, "\ud800"]}
    found = compare(before, after, lists)
    assert sorted(str((old, new)) for _, old, new in found) == sorted([f"({2**70}, None)", f"(None, {2**70 + 1})"])
    assert apply(before, found, lists) == canonical(after, lists)


def test_documents_may_be_as_deep_as_json_writers_allow() -> None:
    before: Any = 1
    after: Any = 2
    for depth in range(240):
        before, after = ({"a": value} if depth % 2 else [value] for value in (before, after))
    (found,) = compare({"top": before}, {"top": after}, {})
    assert found.field == "top.a"
    assert apply({"top": before}, [found], {}) == {"top": after}


@pytest.mark.parametrize(
    ("difference", "mismatch"),
    [
        (("stars", 3, 5), ("stars", 3, 4)),
        (("stars", None, 5), ("stars", None, 4)),
        (("child_allowed", 1, 0), ("child_allowed", 1, True)),
        (("rooms[12].max_adults", 1, 2), ("rooms[12].max_adults", 1, 2)),
        (("rooms[99]", {"id": 99}, None), ("rooms[99]", {"id": 99}, None)),
        (("rooms[99].bed_types[1]", None, {"id": 1}), ("rooms[99]", {}, None)),
        (("address[city]", "London", None), ("address[city]", "London", None)),
        (("stars.half", None, True), ("stars", {}, 4)),
        (("hotel_name[1]", None, {"id": 1}), ("hotel_name", [], "The Grand")),
        (("rooms[15].room_name.fr", None, "Simple"), ("rooms[15].room_name", {}, "Single")),
        (("checkin.instructions[1]", "Ring twice.", None), ("checkin.instructions[1]", "Ring twice.", None)),
    ],
)
def test_a_field_that_is_not_as_it_was_is_not_set(difference: tuple[Any, ...], mismatch: tuple[Any, ...]) -> None:
    as_it_was = copy.deepcopy(PROPERTY)
    with pytest.raises(Mismatch) as caught:
        apply(PROPERTY, [Difference("rating", 8.7, 9), Difference(*difference)], LISTS)
    assert (caught.value.field, caught.value.expected, caught.value.found) == mismatch
    assert str(caught.value) == f"{mismatch[0]} has another value than expected"
    assert as_it_was == PROPERTY


def test_what_changed_elsewhere_meanwhile_stays() -> None:
    undone = inverse(compare(PROPERTY, changed(lambda one: one["rooms"][0].update(max_adults=3)), LISTS))
    meanwhile = changed(lambda one: one["rooms"][0].update(max_adults=3, room_name="Twin"))
    assert apply(meanwhile, undone, LISTS) == canonical(
        changed(lambda one: one["rooms"][0].update(room_name="Twin")), LISTS
    )


def test_objects_and_lists_that_a_value_needs_are_made_and_empty_ones_are_gone() -> None:
    set_in = [
        Difference("a.b.c", None, 1),
        Difference("rooms[12].bed_types[3].id", 3, 3),
        Difference("x.y", None, None),
    ]
    assert apply({"rooms": [{"id": 12, "bed_types": [{"id": 3}]}]}, set_in, LISTS)["a"] == {"b": {"c": 1}}
    assert apply({}, [Difference("rooms[12]", None, {"id": 12})], LISTS) == {"rooms": [{"id": 12}]}
    assert apply({"a": {"b": {"c": 1}}, "d": 1}, inverse(set_in[:1]), LISTS) == {"d": 1}
    assert apply({"a": 1}, [Difference("a", 1.0, "")], LISTS) == {}


def test_differences_may_build_on_one_another_and_are_not_modified() -> None:
    room = {"id": 15, "bed_types": [{"id": 3, "quantity": 1}]}
    first = [Difference("rooms[15]", None, room), Difference("rooms[15].bed_types[3].quantity", 1, 2)]
    second = [
        Difference("rooms[12]", None, {"id": 12}),
        Difference("rooms[15].bed_types[3]", {"quantity": 2, "id": 3}, ""),
    ]
    third = [Difference("rooms", [{"id": 15}, {"id": 12}], "none")]
    assert apply({}, first + second + third, LISTS) == {"rooms": "none"}
    assert room == {"id": 15, "bed_types": [{"id": 3, "quantity": 1}]}


def test_whole_numbers_are_ints_as_long_as_floats_are_exact() -> None:
    numbers = [1.0, -0.0, 2.0**53 - 1, 1.0 - 2.0**53, 2.0**53, -(2.0**53), 1e300, 2**53, 0.5, True]
    assert str(canonical(numbers, {})) == str(
        [1, 0, 2**53 - 1, 1 - 2**53, 2.0**53, -(2.0**53), 1e300, 2**53, 0.5, True]
    )


def test_the_first_name_of_a_field() -> None:
    assert [top(field) for field in ("stars", "rooms[12].max_adults", r"a\.b\[1\].c", "", ".x", r"\\[1]")] == [
        "stars", "rooms", "a.b[1]", "", "", "\\"
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["a]", "a[1", "a[1]b", "a\\", "a[[1]]", "a[1.2]", "[1]]"])
def test_what_is_no_field_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a field"):
        apply({}, [Difference(field, None, 1)], LISTS)
    with pytest.raises(ValueError, match="is not the name of a field"):
        canonical({}, {field: "id"})
