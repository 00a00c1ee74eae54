"""Records that nobody sent: the marked stand-in for a source that cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mimesis import Locale, Person

from syncapp.ports import ReadRequest
from syncapp.records import Json, Page

SEED = 1  # the same records every time: a second mock run changes nothing


class GeneratedSource:
    """`count` records of `make(number, person)`, numbered from 1, on one page."""

    def __init__(self, make: Callable[[int, Person], Json], count: int) -> None:
        self._make, self._count = make, count

    def read(self, request: ReadRequest) -> Iterator[Page]:
        del request
        person = Person(Locale.EN, seed=SEED)
        records: list[Any] = [self._make(number, person) for number in range(1, self._count + 1)]
        yield Page(records)
