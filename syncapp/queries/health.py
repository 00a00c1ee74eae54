"""How well a sync is, from facts alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncapp.records import HealthLevel

# From best to worst; STOPPED is no illness and counts only where nothing else does.
ORDER = (HealthLevel.HEALTHY, HealthLevel.WARNING, HealthLevel.DEGRADED, HealthLevel.UNHEALTHY)
FAILURES = ((5, HealthLevel.UNHEALTHY), (2, HealthLevel.DEGRADED), (1, HealthLevel.WARNING))
INTERVALS = ((5.0, HealthLevel.UNHEALTHY), (3.0, HealthLevel.DEGRADED), (1.5, HealthLevel.WARNING))
GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sync's health is read from.

    interval          how far apart its scheduled runs are
    since             the last success; before there was one, when the schedule was last changed
    succeeded         whether there was a success at all
    failures          failed runs since the last completed one
    last_source       `mock` where the last completed run had to make its records up
    """

    enabled: bool
    interval: timedelta
    since: datetime
    succeeded: bool
    failures: int = 0
    last_source: str | None = None


def level_of(facts: Facts, now: datetime) -> HealthLevel:
    """The worst of what applies:

    stopped    the schedule is switched off (and nothing else counts)
    warning    1 failure in a row, or 1.5 intervals without success, or no success yet
    degraded   2 failures in a row, or 3 intervals, or the last run's records were mock
    unhealthy  5 failures in a row, or 5 intervals
    """
    if not facts.enabled:
        return HealthLevel.STOPPED
    age = now - facts.since - GRACE
    found = [level for count, level in FAILURES if facts.failures >= count][:1]
    found += [level for intervals, level in INTERVALS if age > facts.interval * intervals][:1]
    if facts.last_source == "mock":
        found.append(HealthLevel.DEGRADED)
    if not facts.succeeded:
        found.append(HealthLevel.WARNING)
    return worst(found)


def worst(levels: Iterable[HealthLevel]) -> HealthLevel:
    """The worst of several; STOPPED where all are stopped, HEALTHY where there are none."""
    found = list(levels)
    ill = [level for level in found if level is not HealthLevel.STOPPED]
    if found and not ill:
        return HealthLevel.STOPPED
    return max(ill, key=ORDER.index, default=HealthLevel.HEALTHY)
