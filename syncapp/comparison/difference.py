"""Differences: found, put in, taken out again.

They are put in, and taken out, in trees: canonical documents in which an element of a named list stands under what a
field has in brackets for it, as a member stands under its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from syncapp.comparison.field import Step, join, member_text, parse
from syncapp.comparison.place import Lists, Place, root
from syncapp.comparison.value import canonical_at, identify, same
from syncapp.records import Json


class Difference(NamedTuple):
    """One field before and after, both canonical. None stands for absent."""

    field: str
    old: Json
    new: Json


class Mismatch(Exception):
    """A field that is to be set does not have the value that it should have until then.

    Where the field has no place, `field` is that of the object or the list that is not there, `expected` is {} or [],
    and `found` is what is there instead.
    """

    def __init__(self, field: str, expected: Json, found: Json) -> None:
        super().__init__(f"{field} has another value than expected")
        self.field, self.expected, self.found = field, expected, found


def compare(before: Mapping[str, Json] | None, after: Mapping[str, Json] | None, lists: Lists) -> list[Difference]:
    """What differs, sorted by field. What is on one side alone is one difference, however much it holds.

    A change of what identifies an element is two: one element has left, another has come.
    """
    place = root(lists)
    old, new = (canonical_at(dict(document or {}), place) or {} for document in (before, after))
    return compare_canonical(old, new, lists)


def compare_canonical(before: Mapping[str, Json], after: Mapping[str, Json], lists: Lists) -> list[Difference]:
    """The same of two documents that are canonical already."""
    return sorted(_differences("", before, after, root(lists)), key=itemgetter(0))


def apply(document: Mapping[str, Json], differences: Iterable[Difference], lists: Lists) -> dict[str, Json]:
    """A canonical copy of the document with every field set from old to new.

    Elements are those of the document before any field was set: for any `a` and `b`, `apply(a, compare(a, b, lists),
    lists)` is exactly `canonical(b, lists)`. Objects and lists that a new value needs are made, elements are not.
    Raises Mismatch, and ValueError for what is no field.
    """
    place = root(lists)
    tree = _tree(document, place)
    for field, old, new in differences:
        steps = parse(field)
        there = place
        for step in steps:
            there = there.after(step)
        found, expected = canonical_at(_gather(_find(tree, steps)), there), canonical_at(old, there)
        if not same(found, expected):
            raise Mismatch(field, expected, found)
        _put(tree, steps, _spread(canonical_at(new, there), there))
    return canonical_at(_gather(tree), place) or {}


def inverse(differences: Iterable[Difference]) -> list[Difference]:
    """What takes the differences out of a document again."""
    return [Difference(field, new, old) for field, old, new in differences]


class _Elements(dict[str, Json]):
    """A named list in a tree."""


def _tree(document: Mapping[str, Json], place: Place) -> dict[str, Json]:
    return _spread(canonical_at(dict(document), place), place) or {}


def _spread(value: Json, place: Place) -> Json:
    """A canonical value as a tree."""
    if type(value) is dict:
        return {name: _spread(member, place.names.get(name, place.others)) for name, member in value.items()}
    if type(value) is not list or not place.members:
        return value
    named = _by_name(value, place)
    return _Elements((name, _spread(element, place.elements)) for name, element in named.items())


def _by_name(elements: Iterable[Json], place: Place) -> dict[str, Json]:
    """The elements of a canonical list by what a field has in brackets for them."""
    named: dict[str, Json] = {}
    times: dict[str, int] = {}
    for element in elements:
        identity = identify(element, place.members)
        times[identity] = time = times.get(identity, 0) + 1
        named[identity if time == 1 else f"{identity}#{time}"] = element
    return named


def _gather(tree: Json) -> Json:
    """What was spread, as it was."""
    if type(tree) is dict:
        return {name: _gather(member) for name, member in tree.items()}
    if type(tree) is _Elements:
        return [_gather(element) for element in tree.values()]
    return tree


def _differences(field: str, old: Json, new: Json, place: Place) -> Iterator[Difference]:
    """Of two canonical values. `field` has the dot before its first name: a name may be empty."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() | new.keys():
            one, other = old.get(name), new.get(name)
            if not _same_leaf(one, other):
                yield from _differences(field + member_text(name), one, other, place.names.get(name, place.others))
    elif place.members and isinstance(old, list) and isinstance(new, list):
        ones, others = _by_name(old, place), _by_name(new, place)
        for name in ones.keys() | others.keys():
            yield from _differences(f"{field}[{name}]", ones.get(name), others.get(name), place.elements)
    elif not same(old, new):
        yield Difference(field[1:], old, new)


def _same_leaf(one: Json, other: Json) -> bool:
    """Most members are, and for them no field has to be named."""
    return type(one) is type(other) and not isinstance(one, dict | list) and bool(one == other)


def _holder(step: Step) -> type[dict[str, Json]]:
    return dict if step.is_member else _Elements


def _find(tree: Json, steps: Iterable[Step]) -> Json:
    for step in steps:
        if type(tree) is not _holder(step):
            return None
        tree = tree.get(step.key)
    return tree


def _put(tree: Json, steps: Sequence[Step], new: Json) -> None:
    """None, and an object that is left without members, are no longer there when the tree is made canonical."""
    for position, (step, following) in enumerate(pairwise(steps), 1):
        holder, within = _holder(following), tree.get(step.key)
        if within is None and step.is_member:
            within = tree[step.key] = holder()
        if type(within) is not holder:
            raise Mismatch(join(steps[:position]), {} if following.is_member else [], _gather(within))
        tree = within
    tree[steps[-1].key] = new
