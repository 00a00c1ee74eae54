"""What holds for the differences of any two documents: names, identities and values are as awkward as they come."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncapp.comparison import Difference, apply, canonical, compare, inverse, top

LISTS = {
    "rooms": "id",
    "rooms[].beds": ("kind", "no"),
    "rooms[].beds[].feet": "id",
    "by.*.rooms": "id",
    "by.fr.tags": "id",
    r"odd\.list\[\]": "id",
    "grid": "id",
    "grid[]": "id",
    "steps[].rooms": "id",
}
NAMED = {  # the same as steps, written down once more by hand
    ("rooms",),
    ("rooms", None, "beds"),
    ("rooms", None, "beds", None, "feet"),
    ("by", "fr", "rooms"),
    ("by", "a.b", "rooms"),
    ("by", "fr", "tags"),
    ("odd.list[]",),
    ("grid",),
    ("grid", None),
    ("steps", None, "rooms"),
}
Steps = tuple[str | None, ...]

fast = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def exact(value: Any) -> str:
    """Tells True from 1 and 1 from 1.0, which Python does not."""
    return json.dumps(value, sort_keys=True)


awkward = st.sampled_from(
    [
        "",
        ".",
        "..",
        "\\",
        "\\.",
        "[",
        "]",
        "[]",
        "[1]",
        "a.b",
        "a[0]",
        "#",
        "#2",
        "5#2",
        "5\\#2",
        "*",
        ",",
        "é",
        "\n",
        "\x00",
    ]
)
names = st.sampled_from(["a", "b", "id"]) | awkward
texts = st.sampled_from(["x", "y", "5", "True", "1"]) | awkward | st.text(max_size=3)
numbers = st.integers(-2, 6) | st.sampled_from([0.5, -0.0, 2.0**53, 2**53, 2.0**53 - 1, 1e300, 2**64])
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=5
)


def listed(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(element | values, max_size=4) | values


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


feet = objects(id=scalars, a=scalars)
beds = objects(kind=scalars, no=scalars, feet=listed(feet), a=scalars)
rooms = listed(objects(id=scalars, a=scalars, beds=listed(beds), address=st.dictionaries(names, values, max_size=2)))
languages = st.fixed_dictionaries(
    {}, optional={name: objects(rooms=rooms, tags=listed(feet)) for name in ("fr", "a.b")}
)
documents = st.builds(
    lambda known, others: {**others, **known},
    st.fixed_dictionaries(
        {},
        optional={
            "rooms": rooms,
            "by": languages,
            "odd.list[]": listed(feet),
            "grid": listed(st.lists(feet, max_size=3)),
            "steps": st.lists(objects(rooms=rooms, a=scalars), max_size=2),
        },
    ),
    st.dictionaries(names, values, max_size=3),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Documents that share much, with parts of other ones."""
    one, other = draw(documents), draw(documents)
    return one, {**{name: one[name] for name in one if draw(st.booleans())}, **other}


@st.composite
def dressed(draw: st.DrawFn, value: Any, steps: Steps = ()) -> Any:
    """The same thing in other clothes."""
    nothing = st.sampled_from([None, "", [], {}, [None, ""], {"a": {"b": []}}])
    if isinstance(value, dict):
        members = [(name, draw(dressed(member, (*steps, name)))) for name, member in value.items()]
        absent = [(name, draw(nothing)) for name in ("absent", "a", "id") if name not in value and draw(st.booleans())]
        return dict(draw(st.permutations(members + absent)))
    if isinstance(value, list):
        elements = [draw(dressed(element, (*steps, None))) for element in value]
        if steps in NAMED:
            elements = draw(st.permutations(elements))
        at = draw(st.integers(0, len(elements)))
        return [*elements[:at], *draw(st.lists(nothing, max_size=1)), *elements[at:]]
    if type(value) is int and abs(value) < 2**53 and draw(st.booleans()):
        return draw(st.sampled_from([0.0, -0.0])) if value == 0 else float(value)
    return value


@given(st.data())
@fast
def test_equal_things_in_other_clothes_are_one(data: st.DataObject) -> None:
    document = data.draw(documents)
    other = data.draw(dressed(document))
    assert exact(canonical(other, LISTS)) == exact(canonical(document, LISTS))
    assert compare(document, other, LISTS) == compare(other, document, LISTS) == []


def has_nothing_in_it(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or value in ("", [], {}) or any(map(has_nothing_in_it, inside))


@given(documents)
@fast
def test_what_is_canonical_stays_as_it_is(document: dict[str, Any]) -> None:
    before = exact(document)
    once = canonical(document, LISTS)
    kept = exact(once)
    assert exact(canonical(once, LISTS)) == kept
    assert exact(apply(document, [], LISTS)) == exact(once or {})
    assert once is None or not has_nothing_in_it(once)
    assert exact(document) == before


@given(pairs())
@fast
def test_differences_make_either_document_of_the_other(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = pair
    as_they_were = exact(pair)
    found = compare(before, after, LISTS)
    fields = [difference.field for difference in found]
    assert fields == sorted(set(fields))
    assert all(exact(old) != exact(new) for _, old, new in found)
    assert exact(apply(before, found, LISTS)) == exact(canonical(after, LISTS) or {})
    assert exact(apply(after, inverse(found), LISTS)) == exact(canonical(before, LISTS) or {})
    assert exact(compare(after, before, LISTS)) == exact(inverse(found))
    assert (found == []) is (exact(canonical(before, LISTS)) == exact(canonical(after, LISTS)))
    assert {top(field) for field in fields} <= {*before, *after}
    assert exact(pair) == as_they_were
    stored = [Difference(*parts) for parts in json.loads(json.dumps(found))]
    assert exact(apply(before, stored[::-1], LISTS)) == exact(canonical(after, LISTS) or {})


def escaped(text: Any, signs: str = "\\.[]") -> str:
    return "".join("\\" + sign if sign in signs else sign for sign in str(text))


def unique(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Elements with identities of their own."""
    element = st.fixed_dictionaries({"id": filled}, optional=members)
    return st.lists(element, min_size=1, max_size=3, unique_by=lambda one: str(one["id"]))


filled = st.integers(0, 6) | st.sampled_from(["x", "5#2", "#1", "a.b", "\\", "[", "]", ",", "é", "\n"]) | st.just(True)
made = st.fixed_dictionaries({"kind": filled, "no": filled}, optional={"feet": unique(a=filled), "a": filled})
own_beds = st.lists(made, min_size=1, max_size=2, unique_by=lambda bed: (str(bed["kind"]), str(bed["no"])))
own_rooms = unique(a=filled, beds=own_beds, address=st.dictionaries(names, filled, min_size=1, max_size=2))
own_documents = st.fixed_dictionaries(
    {"rooms": own_rooms},
    optional={
        "by": st.fixed_dictionaries({"fr": st.fixed_dictionaries({"rooms": own_rooms}, optional={"tags": unique()})}),
        "odd.list[]": unique(a=filled),
        "order": st.lists(filled, min_size=1, max_size=3),
        "": filled,
        ".": st.dictionaries(awkward, filled, min_size=1, max_size=2),
    },
)


def parts(value: Any, steps: Steps = (), field: str = "") -> Iterator[tuple[Any, Any, str, bool]]:
    """What can change by itself: its holder, its key there, its field, and whether it is one value."""
    if isinstance(value, dict):
        for name, member in value.items():
            if steps[-1:] != (None,) or name not in {"id", "kind", "no"}:
                here = f"{field}.{escaped(name)}" if steps else escaped(name)
                yield value, name, here, not isinstance(member, dict) and (*steps, name) not in NAMED
                yield from parts(member, (*steps, name), here)
    elif steps in NAMED:
        for index, element in enumerate(value):
            own = [element["id"]] if "id" in element else [element["kind"], element["no"]]
            signs = "\\.[]#" if len(own) == 1 else "\\.[]#,"
            here = f"{field}[{','.join(escaped(text, signs) for text in own)}]"
            yield value, index, here, False
            yield from parts(element, (*steps, None), here)


@given(st.data())
@fast
def test_a_single_change_is_found_as_that_one_field_and_undone(data: st.DataObject) -> None:
    before = canonical(data.draw(own_documents), LISTS)
    after = copy.deepcopy(before)
    holder, key, field, is_one_value = data.draw(st.sampled_from(list(parts(after))))
    old, new = copy.deepcopy(holder[key]), None
    ways = ["replace"] if isinstance(holder, dict) else []
    ways += ["remove"] if len(holder) > 1 else []
    ways += ["add"] if isinstance(old, dict) else []
    way = data.draw(st.sampled_from(ways)) if ways else "nothing"
    if way == "replace":
        others = st.sampled_from([7, "other", True, False, 0.25])
        new = holder[key] = data.draw(others.filter(lambda one: exact(one) != exact(old)))
        if is_one_value and isinstance(old, list) and data.draw(st.booleans()):
            new = holder[key] = [*old, "more"]
    elif way == "remove":
        del holder[key]
    elif way == "add":
        field, old, new = f"{field}.more", None, {"a": [1, 2]}
        holder[key]["more"] = copy.deepcopy(new)
    expected = [] if way == "nothing" else [Difference(field, old, new)]
    found = compare(data.draw(dressed(before)), data.draw(dressed(after)), LISTS)
    assert exact(found) == exact(expected)
    assert exact(apply(before, found, LISTS)) == exact(canonical(after, LISTS))
    assert exact(apply(after, inverse(found), LISTS)) == exact(before)


anything = awkward | st.text(max_size=4)


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=5))
@fast
def test_the_name_of_a_field_leads_back_to_it(way: list[tuple[str, str]]) -> None:
    """Through members of any name and elements of any identity, one within the other."""
    field, path, lists = "", "", {}
    for name, identity in way:
        field, path = f"{field}.{escaped(name)}", f"{path}.{escaped(name, signs='.[]*' + chr(92))}"
        if identity:
            lists[path[1:]] = "the id"
            field, path = f"{field}[{escaped(identity, signs='.[]#' + chr(92))}]", f"{path}[]"
    field = f"{field[1:]}.leaf"

    def document(leaf: int) -> dict[str, Any]:
        value: Any = {"leaf": leaf}
        for name, identity in reversed(way):
            inside = [{"the id": "beside"}, {"the id": identity, **value}] if identity else value
            value = {"beside": True, name: inside}
        return dict(value)

    found = compare(document(1), document(2), lists)
    assert found == [Difference(field, 1, 2)]
    assert top(field) == way[0][0]
    assert apply(document(1), found, lists) == canonical(document(2), lists)
