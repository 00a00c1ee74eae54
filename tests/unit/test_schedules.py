"""When a schedule runs next: time zones, clocks that change, grids that do not drift."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from syncapp.cron import next_run
from syncapp.models import Schedule
from syncapp.schedules import tick_after


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def runs(cron: str, timezone: str, after: str, count: int) -> list[datetime]:
    found = [at(after)]
    for _ in range(count):
        found.append(next_run(cron, None, timezone, found[-1]))
    return found[1:]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 */6 * * *", "2026-03-01T00:00:00Z", "2026-03-01T06:00:00Z"),
        ("0 */6 * * *", "2026-03-01T05:59:59.999999Z", "2026-03-01T06:00:00Z"),
        ("0 */2 * * *", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
        ("30 4 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T04:30:00Z"),
        ("0 0 13 * 5", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"),  # the 13th or a Friday
    ],
)
def test_a_cron_line_in_utc(cron: str, after: str, expected: str) -> None:
    assert next_run(cron, None, "UTC", at(after)) == at(expected)


def test_the_answer_is_in_utc() -> None:
    assert next_run("0 12 * * *", None, "Asia/Tokyo", at("2026-01-01T00:00:00Z")).utcoffset() == UTC.utcoffset(None)


def test_a_time_that_the_clocks_skip_runs_right_after_the_gap_and_once() -> None:
    # Berlin, 29 March 2026: 02:00 becomes 03:00, which is 01:00 UTC
    found = runs("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2)
    assert found == [at("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z")]


def test_a_time_that_comes_twice_runs_once() -> None:
    # Berlin, 25 October 2026: 03:00 becomes 02:00, so 02:30 comes at 00:30 UTC and at 01:30 UTC
    found = runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2)
    assert found == [at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]


@pytest.mark.parametrize("after", ["2026-03-28T23:00:00Z", "2026-10-24T22:00:00Z"])
def test_every_half_hour_stays_every_half_hour_when_the_clocks_change(after: str) -> None:
    found = [at(after), *runs("*/30 * * * *", "Europe/Berlin", after, 10)]
    assert {(later - earlier).total_seconds() for earlier, later in pairwise(found)} == {1800}


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "every day", "0 0 * * 9"])
def test_a_cron_line_that_cannot_be_read(cron: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        next_run(cron, None, "UTC", at("2026-01-01T00:00:00Z"))


def schedule(**values: Any) -> Schedule:
    row = {"name": "clients", "cron": None, "interval_seconds": None, "timezone": "UTC", "next_run_at": None}
    return Schedule(**(row | values))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("12:00:00", "12:05:00"),  # on time
        ("12:00:04.5", "12:05:00"),  # a late tick does not push the next one back
        ("11:59:58", "12:05:00"),  # an early one does not pull it forward
        ("12:04:59", "12:05:00"),
        ("12:05:00", "12:10:00"),  # two are missed: one run, then the grid goes on
        ("14:32:10", "14:35:00"),
    ],
)
def test_an_interval_keeps_to_its_grid(now: str, expected: str) -> None:
    row = schedule(interval_seconds=300.0, next_run_at=at("2026-03-01T12:00:00Z"))
    assert tick_after(row, at(f"2026-03-01T{now}Z")) == at(f"2026-03-01T{expected}Z")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-01T11:59:40Z", "2026-03-01T18:00:00Z"),  # early: not 12:00 again
        ("2026-03-01T12:00:01Z", "2026-03-01T18:00:00Z"),
        ("2026-03-03T07:00:00Z", "2026-03-03T12:00:00Z"),  # days late: one run, then the line goes on
    ],
)
def test_a_cron_line_goes_on_after_its_tick(now: str, expected: str) -> None:
    row = schedule(cron="0 */6 * * *", next_run_at=at("2026-03-01T12:00:00Z"))
    assert tick_after(row, at(now)) == at(expected)
