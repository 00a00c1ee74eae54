"""Every form of time that the contract names, and what is refused."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncapp.times import utc_text

EXPECTED = "2025-06-30T14:00:00.000000Z"


@pytest.mark.parametrize(
    "value",
    [
        "2025-06-30T14:00:00Z",
        "2025-06-30T14:00:00.000Z",
        "2025-06-30t14:00:00z",
        "2025-06-30t14:00:00.000z",
        "2025-06-30t16:00:00+02:00",
        "2025-06-30T16:00:00+02:00",
        "2025-06-30T14:00:00",
        "2025-06-30 14:00",
        " 2025-06-30 14:00:00 ",
        "2025-06-30 2:00 PM",
        "06/30/2025 2:00 PM",
        "06/30/2025 14:00",
        "Mon, 30 Jun 2025 14:00:00 GMT",
        "Mon, 30 Jun 2025 16:00:00 +0200",
        "Mon, 30 Jun 2025 16:00:00 +0200 (CEST)",
        "30 Jun 2025 14:00 UT",
        "mon, 30 jun 2025 14:00:00 utc",
        "30 Jun 25 14:00:00 Z",
        "Mon, 30 Jun 2025 10:00:00 EDT",
        "Mon, 30 Jun 2025 06:00:00 PST",
        "Mon, 30 Jun 2025 14:00:00",
        1751292000,
        1751292000.0,
        1751292000000,
        "1751292000",
        "1751292000000",
    ],
)
def test_every_form_means_the_same_moment(value: Any) -> None:
    assert utc_text(value, UTC) == EXPECTED


@pytest.mark.parametrize(
    "value", ["2025-06-30 16:00", "06/30/2025 4:00 PM", "2025-06-30T16:00:00", "30 Jun 2025 16:00"]
)
def test_a_time_without_a_zone_is_in_the_sources_zone(value: str) -> None:
    assert utc_text(value, ZoneInfo("Europe/Berlin")) == EXPECTED


def test_a_local_time_that_nobody_knows_is_utc() -> None:
    assert utc_text("Mon, 30 Jun 2025 14:00:00 -0000", ZoneInfo("Europe/Berlin")) == EXPECTED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2025-13-01T00:00:00Z",
        "2025-02-30",
        "30/30/2025 2:00 PM",
        "10",
        "0001-01-01T00:00:00Z",
        "2025-06-30T25:00:00Z",
        "2025-06-30T14:00:60Z",
        "2025-06-30t14:00:60z",
        "June 30, 2025 2:00 PM",
        "30 Jun 2025 2:00 PM",
        "Mon, 30 Jun 2025 2:00:00 PM +0000",
        "Mon, 30 Jun 2025 14:00:00 CET",
        "Mon, 30 Jun 2025 14:00:00 (CEST)",
        "Mon, 30 Jun 2025 14:00:00 K",
        "Mon, 30 Jun 2025 14:00:00 +2500",
        "31 Jun 2025 14:00:00 GMT",
        "30 Jun 2025 24:00 GMT",
        True,
        None,
        [],
        {},
        float("nan"),
        float("inf"),
        10**30,
        -(10**20),
        10**400,
        "9" * 400,
        "9999-12-31T23:59:59-12:00",
        "T" * 20,
    ],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        utc_text(value, UTC)


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert utc_text(text, UTC).endswith("Z")


MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1), timezones=st.timezones())  # noqa: DTZ001


@given(MOMENTS, MOMENTS)
def test_texts_sort_as_times_do(one: datetime, other: datetime) -> None:
    assert (utc_text(one.isoformat()) < utc_text(other.isoformat())) == (one.astimezone(UTC) < other.astimezone(UTC))
