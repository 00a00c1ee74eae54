"""A sync's health from facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncapp.cron import longest_gap
from syncapp.queries.health import GRACE, Facts, level_of, worst
from syncapp.records import HealthLevel

NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = Facts(enabled=True, interval=HOUR, since=NOW - timedelta(minutes=30), succeeded=True, last_source="live")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "healthy"),
        ({"enabled": False}, "stopped"),
        ({"enabled": False, "failures": 9}, "stopped"),
        ({"failures": 1}, "warning"),
        ({"failures": 2}, "degraded"),
        ({"failures": 4}, "degraded"),
        ({"failures": 5}, "unhealthy"),
        ({"since": NOW - HOUR * 1.5}, "healthy"),
        ({"since": NOW - HOUR * 1.5 - GRACE}, "healthy"),
        ({"since": NOW - HOUR * 1.5 - GRACE - timedelta(seconds=1)}, "warning"),
        ({"since": NOW - HOUR * 3.1}, "degraded"),
        ({"since": NOW - HOUR * 5.1}, "unhealthy"),
        ({"since": NOW + HOUR}, "healthy"),
        ({"last_source": "mock"}, "degraded"),
        ({"succeeded": False}, "warning"),
        ({"succeeded": False, "failures": 5}, "unhealthy"),
        ({"failures": 1, "since": NOW - HOUR * 6}, "unhealthy"),
    ],
)
def test_levels(facts: dict[str, Any], expected: str) -> None:
    assert level_of(replace(WELL, **facts), NOW) == expected


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], "healthy"),
        (["healthy", "warning"], "warning"),
        (["degraded", "unhealthy", "warning"], "unhealthy"),
        (["stopped", "healthy"], "healthy"),
        (["stopped", "degraded"], "degraded"),
        (["stopped", "stopped"], "stopped"),
    ],
)
def test_the_worst_of_several(levels: list[str], expected: str) -> None:
    assert worst(HealthLevel(level) for level in levels) == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 * * * *", HOUR),
        ("0 */6 * * *", HOUR * 6),
        ("0 8 * * 1-5", HOUR * 72),
        ("0 8,9,20 * * *", HOUR * 12),
        ("0 0 29 2 *", timedelta(days=4 * 365 + 1)),
    ],
)
def test_the_longest_gap_of_a_cron_line(cron: str, expected: timedelta) -> None:
    assert longest_gap(cron, NOW) == expected
