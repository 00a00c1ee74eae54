"""Reads that are made of other reads, and can be ended from another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from syncapp.ports import ReadRequest, Source
from syncapp.records import Page


class Reading(Iterator[Page]):
    """Pages of several reads, one after the other. `close` ends the one under way, from any thread."""

    def __init__(self, begin: Callable[[Reading], Iterator[Page]]) -> None:
        self._under_way: Iterator[Page] | None = None
        self._pages = begin(self)

    def __next__(self) -> Page:
        return next(self._pages)

    def open(self, source: Source, request: ReadRequest) -> Iterator[Page]:
        self._under_way = source.read(request)
        return self._under_way

    def close(self) -> None:
        close = getattr(self._under_way, "close", None)
        if close is not None:
            close()
