"""Spans of time in words: ages, estimates, and whether a schedule is behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.values import parse_duration
from syncapp.commands.properties import parse_interval, parse_switch
from syncapp.queries.estimates import show_range
from syncapp.queries.properties import is_overdue, show_span
from syncapp.queries.syncs import ScheduleView
from syncapp.sync_settings import parse_whole
from syncapp.times import show_duration

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (0.4, "0s"), (45, "45s"), (60, "1m"), (90, "1m30s"), (9_000, "2h30m"), (43_200, "12h")),
        *((86_400, "24h"), (90_061, "25h1m1s"), (172_800, "2d"), (604_800, "7d"), (180_000, "2d2h"), (-5, "0s")),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text
    assert parse_duration(text) == max(0, round(seconds))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.2, "0s"), (44.6, "45s"), (59.4, "59s"), (59.6, "1m"), (60, "1m"), (89, "1m"), (91, "2m")),
        *((9_012.3, "2h30m"), (3_599, "1h"), (-3, "0s"), (259_230, "3d")),
    ],
)
def test_an_age_is_told_in_whole_minutes_from_one_on(seconds: float, text: str) -> None:
    assert show_span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.3, 2, "about 10 seconds"),
        (12, 14, "about 10 seconds"),
        (42, 47, "40-50 seconds"),
        (40, 80, "40-80 seconds"),
        (58, 62, "about 1 minute"),
        (70, 95, "1-2 minutes"),
        (62, 91, "1-2 minutes"),
        (95, 100, "about 2 minutes"),
        (20, 100, "1-2 minutes"),
        (300, 600, "5-10 minutes"),
        (118, 122, "about 2 minutes"),
        (1_210, 1_790, "20-30 minutes"),
        (7_000, 11_000, "2-3 hours"),
        (7_100, 7_300, "about 2 hours"),
        (3_500, 3_700, "about 1 hour"),
        (3_000, 4_800, "50-80 minutes"),
    ],
)
def test_an_estimate_is_a_range_that_a_person_would_say(low: float, high: float, text: str) -> None:
    assert show_range(low, high) == text


def schedule(**values: Any) -> ScheduleView:
    made: dict[str, Any] = {"name": "properties", "cron": None, "interval": 43_200.0, "timezone": "UTC"}
    made |= {"enabled": True, "next_run_at": NOON + HOUR, "last_run_at": NOON - 11 * HOUR, "queue": "sync"}
    return ScheduleView(**made | values)


@pytest.mark.parametrize(
    ("view", "changed", "success", "expected"),
    [
        (schedule(), NOON - 9 * DAY, NOON - 11 * HOUR, False),
        (schedule(), NOON - 9 * DAY, NOON - 13 * HOUR, False),  # within a tenth of the interval
        (schedule(), NOON - 9 * DAY, NOON - 14 * HOUR, True),
        (schedule(), NOON - 9 * DAY, None, True),  # it ticked, and nothing ever succeeded
        (schedule(enabled=False), NOON - 9 * DAY, NOON - 14 * HOUR, False),
        (schedule(), NOON - MINUTE, NOON - 3 * DAY, False),  # switched on a minute ago
        (schedule(), NOON - 14 * HOUR, NOON - 3 * DAY, True),  # switched on, and still nothing
        (schedule(last_run_at=None), NOON - 9 * DAY, None, False),  # configured only now: nothing was due before
        (schedule(next_run_at=NOON - 4 * MINUTE), NOON - DAY, NOON - HOUR, False),
        (schedule(next_run_at=NOON - 6 * MINUTE), NOON - DAY, NOON - HOUR, True),  # nobody took the tick
        (schedule(next_run_at=NOON - 6 * MINUTE, last_run_at=None), NOON - DAY, None, True),
        (schedule(interval=300.0), NOON - DAY, NOON - 9 * MINUTE, False),  # at least five minutes of grace
        (schedule(interval=300.0), NOON - DAY, NOON - 11 * MINUTE, True),
        (schedule(interval=None, cron="0 8 * * 1-5"), NOON - 9 * DAY, NOON - 70 * HOUR, False),  # over a weekend
        (schedule(interval=None, cron="0 8 * * 1-5"), NOON - 9 * DAY, NOON - 90 * HOUR, True),
    ],
)
def test_what_is_overdue(view: ScheduleView, changed: datetime, success: datetime | None, expected: bool) -> None:
    assert is_overdue(view, changed, success, NOON) is expected


@pytest.mark.parametrize("value", ["5", " 5 ", "+5", 5, 5.0])
def test_a_whole_number(value: Any) -> None:
    assert parse_whole(value, 1, 100) == 5


HOSTILE = [
    "",
    " ",
    "five",
    "5.5",
    "1e2",
    "1_0",
    "\u0665",
    "5\x00",
    "0x5",
    "Infinity",
    "NaN",
    "9" * 5_000,
    "-1",
    "0",
    "101",
]


@pytest.mark.parametrize("value", [*HOSTILE, 0, 101, -1, 5.5, 10**30, 1e308, float("inf"), float("nan"), True, None])
def test_what_is_none(value: Any) -> None:
    with pytest.raises(ValueError, match="Must be a whole number from 1 to 100"):
        parse_whole(value, 1, 100)
    with pytest.raises(ValueError, match="Must be a whole number"):
        parse_whole([value], 1, 100)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5m", 300), ("7d", 604_800), (" 12H ", 43_200), ("2h30m", 9_000), ("300", 300), (300, 300), (300.4, 300)],
)
def test_an_interval(value: Any, seconds: float) -> None:
    assert parse_interval(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(*HOSTILE, "4m59s", "7d1s", "8d", "0 */6 * * *", "1" * 31 + "h", "9" * 400 + "h"),
        *(299, 604_801, 10**30, float("inf"), float("nan"), True, None, ["5m"], {"h": 5}),
    ],
)
def test_what_is_no_interval(value: Any) -> None:
    with pytest.raises(ValueError, match="Must be a duration from 5m to 7d"):
        parse_interval(value)


def test_a_switch() -> None:
    assert [parse_switch(value) for value in (True, "true", " TRUE ", False, "False")] == [True] * 3 + [False] * 2
    for value in ("yes", "on", "1", "", "true\x00", 1, 0, 1.0, None, [True]):
        with pytest.raises(ValueError, match="Must be true or false"):
            parse_switch(value)
