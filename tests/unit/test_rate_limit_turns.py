"""Whose turn it is where several wait for a pace, and permissions that came late."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapp.guards.rate_limit import GRACE, LocalRateLimit, Meter
from syncapp.ports import Pace

SECOND = 1_000_000_000  # nanoseconds


@given(st.integers(2, 12), st.integers(0, int(GRACE * SECOND) - 1))
def test_all_who_wait_get_their_turn(waiters: int, slow: int) -> None:
    """One host's words take long, the others want the next permission as soon as they have one."""
    meter, pace, turn = Meter(), Pace.per_second(10), count()
    granted, asks = Counter[int](), 0
    agenda = [(0, who, f"{who}") for who in range(waiters)]  # when somebody asks, and in whose name
    while granted.total() < 20 * waiters:
        now, who, name = heapq.heappop(agenda)
        asks += 1
        wait = meter.take(now, pace, name, patience=3.0)
        if not wait:
            granted[who] += 1
            wait, name = 0, f"{who} {next(turn)}"
        heapq.heappush(agenda, (now + wait + (slow if who == 0 else 0), who, name))
    assert max(granted.values()) - min(granted.values()) <= 2
    assert asks <= 4 * granted.total()


def test_whoever_does_not_come_back_holds_nobody_up_for_long() -> None:
    meter, pace = Meter(), Pace(1)
    assert meter.take(0, pace, "first", 3.0) == 0
    assert [meter.take(0, pace, who, 3.0) for who in ("gone", "next")] == [SECOND, 2 * SECOND]
    assert meter.take(SECOND, pace, "new", 3.0) == 2 * SECOND  # the two have their places
    assert meter.take(2 * SECOND, pace, "next", 3.0) == 0


def test_whoever_does_not_wait_keeps_no_place() -> None:
    meter, pace = Meter(), Pace(1)
    assert meter.take(0, pace, "first", 3.0) == 0
    assert meter.take(0, pace, "in a hurry", 0.9) == SECOND
    assert meter.take(0, pace, "next", 3.0) == SECOND


def test_nobody_overtakes_where_others_give_up() -> None:
    meter, pace = Meter(), Pace(1)
    assert [meter.take(0, pace, who, 9.0) for who in ("first", "a", "b", "c")] == [0, SECOND, 2 * SECOND, 3 * SECOND]
    for who in ("a", "b"):
        meter.take(SECOND // 2, pace, who, 0.0)
    assert meter.take(SECOND // 2, pace, "new", 9.0) == 7 * SECOND // 2
    assert meter.take(3 * SECOND, pace, "c", 9.0) == 0


class Stalling(LocalRateLimit):
    """Its permissions come so many seconds late each, the last one again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, late: Sequence[float]) -> None:
        super().__init__()
        self.taken, self._now, self._late = 0, 0.0, [*late]
        monkeypatch.setattr("syncapp.guards.rate_limit.time", SimpleNamespace(monotonic=lambda: self._now))

    def _take(self, key: str, pace: Pace, who: str, patience: float) -> float:
        self.taken += 1
        self._now += self._late.pop(0) if len(self._late) > 1 else self._late[0]
        return 0.0


@pytest.mark.parametrize(
    ("pace", "late", "taken"),
    [
        (Pace(10), [0.04], 1),
        (Pace(10), [0.06, 0.0], 2),
        (Pace(10), [0.06, 0.6, 0.0], 3),
        (Pace(10), [0.06], 3),
        (Pace(1), [0.45], 1),
        (Pace(1), [0.55, 0.0], 2),
        (Pace(1_000), [0.04], 1),
    ],
)
def test_a_permission_that_came_late_is_let_go(
    monkeypatch: pytest.MonkeyPatch, pace: Pace, late: Sequence[float], taken: int
) -> None:
    limit = Stalling(monkeypatch, late)
    limit.acquire("k", pace, pytest.fail)
    assert limit.taken == taken
