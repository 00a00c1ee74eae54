"""When something is due that comes by a cron line or by an interval."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MOST_OVER = 61  # minutes of an hour, and one


def next_run(cron: str | None, interval_seconds: float | None, timezone: str, after: datetime) -> datetime:
    """The first moment after `after`, in UTC.

    A cron line is read in `timezone` as Debian's cron reads it: a time that the clocks skip runs right after the gap, a
    time that comes twice runs once, and lines with `*` in the hour or minute follow the real hours.
    Raises ValueError for a cron line that cannot be read or never comes.
    """
    if interval_seconds is not None:
        return after + timedelta(seconds=interval_seconds)
    try:
        times = CronSim(cron or "", after.astimezone(ZoneInfo(timezone)))
        # In the hour that comes twice the first ones may be over.
        found = next((time for time in islice(times, MOST_OVER) if time > after), None)
    except CronSimError as error:
        raise ValueError(str(error)) from error
    if found is None:
        raise ValueError("never comes")
    return found.astimezone(after.tzinfo)


def longest_gap(cron: str, now: datetime) -> timedelta:
    """The longest time between a cron line's next runs: what `0 8 * * 1-5` leaves over a weekend, for example."""
    times = list(islice(CronSim(cron, now), 8))
    return max((later - earlier for earlier, later in pairwise(times)), default=timedelta(days=1))
