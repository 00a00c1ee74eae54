"""Where the lists stand whose order means nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from syncapp.comparison.field import Step, split, unescape

Lists = Mapping[str, str | tuple[str, ...]]
"""Which lists have no order of their own, by where they stand (`photos`, `rooms[].bed_types`, `*` for any name), with
the member or members that identify an element. The order of a list that is not named here means something: it is
compared as one value."""

ANY, ELEMENT = ".*", "[]"
Paths = Sequence[tuple[Sequence[str], tuple[str, ...]]]


class Place:
    """Where a value may stand. There is one for each part of the paths of the named lists, and one for all the rest.

    members   what identifies the elements of a list that stands here; empty where a list is one value
    names     the places of the members that are named, `others` that of all other members
    elements  the place of the elements
    """

    __slots__ = ("elements", "members", "names", "others")

    def __init__(self, paths: Paths) -> None:
        self.members = next((members for steps, members in paths if not steps), ())
        self.names: dict[str, Place] = {}
        self.others = self.elements = self
        if paths:
            self.others, self.elements = Place(_beyond(ANY, paths)), Place(_beyond(ELEMENT, paths))
            for step in {steps[0] for steps, _ in paths if steps} - {ANY, ELEMENT}:
                self.names[unescape(step[1:])] = Place([*_beyond(step, paths), *_beyond(ANY, paths)])

    def after(self, step: Step) -> Place:
        return self.names.get(step.key, self.others) if step.is_member else self.elements


def _beyond(step: str, paths: Paths) -> Paths:
    return [(steps[1:], members) for steps, members in paths if steps and steps[0] == step]


def root(lists: Lists) -> Place:
    """The place of a whole document. Raises ValueError for a path that is none."""
    return _root(tuple(lists.items()))


@lru_cache(maxsize=64)
def _root(lists: tuple[tuple[str, str | tuple[str, ...]], ...]) -> Place:
    return Place([(split(path), (names,) if isinstance(names, str) else names) for path, names in lists])
