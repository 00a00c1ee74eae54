"""The forms in which sources write times, and the one in which we keep them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
US_FORMATS = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y")
ISO_12_HOURS = ("%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p")
# The library that reads it passes over what it does not know: PM, or a zone of another name.
RFC_2822 = re.compile(
    r"((mon|tue|wed|thu|fri|sat|sun)\s*,\s*)?"
    r"\d{1,2}\s+(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\s+(\d{4}|\d{2})\s+\d{1,2}:\d{2}(:\d{2})?"
    r"(\s+([+-]\d{2}[0-5]\d|utc?|gmt|z|[ecmp][sd]t)(\s*\([^()]*\))?)?",
    re.ASCII | re.IGNORECASE,
)
YEARS = range(1900, 2200)
FIRST, END = str(YEARS.start), str(YEARS.stop)


def utc_text(value: Any, zone: tzinfo = UTC) -> str:
    """RFC 3339 in UTC with microseconds, so that texts sort as times do.

    Takes RFC 3339 with or without a zone, `2025-06-30 14:00`, `06/30/2025 2:00 PM`, RFC 2822, epoch seconds or
    milliseconds as a number or digits. A time without a zone is in `zone`; of two that a clock change makes possible
    the first. Raises ValueError.
    """
    if type(value) is str:
        if len(value) == 20 and value[4::3] == "--T::Z" and FIRST <= value < END:
            datetime.fromisoformat(value)  # what nearly every API sends, if all of its numbers are right
            return f"{value[:19]}.000000Z"
        moment = _parse_text(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        moment = _from_epoch(value)
    else:
        raise ValueError("not a time")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if moment.year not in YEARS:
        raise ValueError(f"the year {moment.year} is not believed")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _parse_text(text: str) -> datetime:
    if text.isascii() and text.lstrip("-").replace(".", "", 1).isdigit() and len(text) > 8:
        return _from_epoch(text)
    try:
        return datetime.fromisoformat(f"{text[:-1]}Z" if text.endswith("z") else text)
    except ValueError:
        pass
    for form in (*US_FORMATS, *ISO_12_HOURS):
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  (the caller adds the zone)
        except ValueError:
            continue
    if RFC_2822.fullmatch(text) is None:
        raise ValueError("a time in a form that is not known")
    return parsedate_to_datetime(text.replace("-0000", "+0000"))  # UTC both; the first would come without a zone


def _from_epoch(value: float | str) -> datetime:
    try:
        number = float(value)
        return datetime.fromtimestamp(number / 1000 if abs(number) >= MILLISECONDS_FROM else number, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError("a number that is no time") from None


def show_time(moment: datetime) -> str:
    """As the contract has times: RFC 3339 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_duration(seconds: float) -> str:
    """As `config.values.parse_duration` reads it: `45s`, `2h30m`, `24h`, `7d`; days from two on. Whole seconds."""
    whole = max(0, round(seconds))
    days = whole // 86_400 if whole >= 172_800 else 0
    hours, rest = divmod(whole - days * 86_400, 3_600)
    parts = ((days, "d"), (hours, "h"), (rest // 60, "m"), (rest % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
