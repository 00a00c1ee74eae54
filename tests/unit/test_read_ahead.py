"""Batches made ahead by another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import pytest

from syncapp.engine.readahead import AHEAD, ReadAhead
from tests.waiting import wait_for


class Items:
    """Numbers, and how many of them were made."""

    def __init__(self, count: int, before: Callable[[int], None] = lambda _: None) -> None:
        self.count, self.before = count, before
        self.made = 0
        self.closed = threading.Event()

    def make(self) -> Generator[int, None, None]:
        try:
            for number in range(self.count):
                self.before(number)
                self.made += 1
                yield number
        finally:
            self.closed.set()


def nothing() -> None:
    return None


def take(ahead: ReadAhead[int], seen: list[int]) -> None:
    for number in ahead:
        seen.append(number)


def test_all_come_in_order() -> None:
    items = Items(100)
    with ReadAhead(items.make(), nothing, nothing) as ahead:
        assert list(ahead) == list(range(100))
    assert items.closed.wait(10)


def test_no_more_are_made_than_allowed() -> None:
    items = Items(10)
    with ReadAhead(items.make(), nothing, nothing) as ahead:
        taken = iter(ahead)
        assert next(taken) == 0
        wait_for(lambda: items.made == AHEAD)
        ahead.go_on()
        ahead.go_on()
        wait_for(lambda: items.made == AHEAD + 1)
        assert next(taken) == 1
        assert items.made == AHEAD + 1
        assert list(taken) == list(range(2, 10))
    assert items.closed.wait(10)


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def before(number: int) -> None:
        if number == 3:
            raise LookupError("page 3")

    items = Items(10, before)
    seen: list[int] = []
    with pytest.raises(LookupError, match="page 3"), ReadAhead(items.make(), nothing, nothing) as ahead:
        take(ahead, seen)
    assert seen == [0, 1, 2]


def test_a_wait_for_a_slow_one_can_be_ended() -> None:
    hangs = threading.Event()
    stopped = threading.Event()

    def check() -> None:
        raise TimeoutError("asked to end")

    def stop() -> None:
        stopped.set()
        hangs.set()

    items = Items(5, lambda number: hangs.wait(10) if number == 1 else None)
    seen: list[int] = []
    with pytest.raises(TimeoutError, match="asked to end"), ReadAhead(items.make(), check, stop) as ahead:
        take(ahead, seen)
    assert seen == [0]
    assert stopped.is_set()
    assert items.closed.wait(10)


def test_who_leaves_early_leaves_nobody_behind() -> None:
    items = Items(100)
    with ReadAhead(items.make(), nothing, nothing) as ahead:
        for number in ahead:
            if number == 3:
                break
    assert items.closed.wait(10)
    assert items.made < 100


def test_a_read_that_is_finished_early_loses_nothing_of_what_was_made() -> None:
    items = Items(100)
    with ReadAhead(items.make(), nothing, nothing) as ahead:
        taken = iter(ahead)
        assert next(taken) == 0
        wait_for(lambda: items.made == AHEAD)
        ahead.finish()
        ahead.go_on()
        assert list(taken) == [*range(1, AHEAD)]
    assert items.closed.wait(10)
    assert items.made == AHEAD
