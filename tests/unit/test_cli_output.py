"""How the command line writes values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import click
import orjson
import pytest

from syncapp.cli.context import Moment
from syncapp.cli.output import dump, plain, seconds_text
from syncapp.queries import Listed
from syncapp.records import HealthLevel


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 05 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (datetime(2025, 6, 30, 14, tzinfo=timezone(timedelta(hours=2))), "2025-06-30 12:00:00Z"),
        (HealthLevel.HEALTHY, "healthy"),
        ("two\nlines", "two lines"),
        ("\x1b[2J\x07 \x9b31m", "\ufffd[2J\ufffd \ufffd31m"),
    ],
)
def test_values_are_one_line_that_steers_no_terminal(value: object, text: str) -> None:
    assert plain(value) == text


def test_documents_hold_times_as_the_api_writes_them() -> None:
    document = Listed([datetime(2025, 6, 30, 12, 0, 0, 5_999, tzinfo=UTC)], 1)
    assert orjson.loads(dump(document)) == {"items": ["2025-06-30T12:00:00.005Z"], "total": 1}


def test_documents_hold_numbers_of_any_size() -> None:
    assert str(2**70) in dump({"record": 2**70, "at": datetime(2025, 6, 30, tzinfo=UTC)})


def moment(text: str) -> Any:
    return Moment().convert(text, None, None)


def test_times_may_be_said_as_a_distance() -> None:
    before = datetime.now(UTC)
    found = moment("2h")
    assert before <= found + timedelta(hours=2) <= datetime.now(UTC)
    assert moment("2025-06-30") == datetime(2025, 6, 30, tzinfo=UTC)
    assert moment("2025-06-30T14:00:00+02:00") == datetime(2025, 6, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "h", "9999999999999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        moment(text)
