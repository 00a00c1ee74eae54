"""How long a run of the properties will take, in words."""

from __future__ import annotations

from sqlalchemy import Float, func, select

from config.settings import Settings
from syncapp.connectors.cupid import followed_ids
from syncapp.connectors.cupid.fetch import parts_of
from syncapp.db import Database
from syncapp.errors import CredentialsMissing
from syncapp.models import Run
from syncapp.ports import Pace
from syncapp.queries.history import COUNTS
from syncapp.records import RunStatus
from syncapp.scope import Scope
from syncapp.sync_settings import read_settings
from syncapp.syncs.properties import PROPERTIES

LATEST = 10
# Runs that read every property from the beginning.
WHOLE = (
    *(Run.sync == PROPERTIES.name, *COUNTS, Run.status == RunStatus.COMPLETED),
    *(Run.source == "live", Run.retry_of.is_(None), Run.since.is_(None)),
)
SLOWEST = 2.0  # times what the rate limit alone would take: the API has a pace of its own, and we have to write
MINUTE, HOUR = 60.0, 3_600.0
ALMOST = 0.9  # from there on it is told in the longer unit


def estimate_duration(db: Database, scope: Scope, settings: Settings) -> str:
    """`5-10 minutes`: from the latest runs that completed; without any, or where the rate limit allows no such pace any
    more, from what there is to ask for."""
    took = func.extract("epoch", Run.completed_at - Run.started_at).cast(Float)
    latest = select(took).where(*WHOLE).order_by(Run.created_at.desc()).limit(LATEST)
    least = _least_seconds(db, settings)
    with db.session(scope) as session:
        past = sorted(found for found in session.scalars(latest) if found is not None)
    if past:
        odd = len(past) // 4  # on either side: one that was parked for an hour says little of the next one
        usual = past[odd : len(past) - odd]
        if least is not None and usual[-1] >= least:
            return show_range(max(usual[0], least), usual[-1])
    if least is None:
        return "unknown"
    return show_range(least, least * SLOWEST)


def _least_seconds(db: Database, settings: Settings) -> float | None:
    """What the rate limit alone takes as it is now; None where nobody knows how many properties there are."""
    try:
        properties = len(followed_ids(settings))
    except CredentialsMissing:  # the run itself will say so
        return None
    requests = properties * len(parts_of(settings.cupid_languages))
    pace = Pace.per_second(read_settings(db, settings, PROPERTIES.name, PROPERTIES.settings)["rate_limit"])
    return requests * pace.spacing


def show_range(low: float, high: float) -> str:
    """Of seconds: `40-50 seconds`, `about 1 minute`, `5-10 minutes`, `2-3 hours`."""
    if low < ALMOST * MINUTE and high < 1.5 * MINUTE:
        return _rounded(low, high, 10, 10, "second")
    if low < ALMOST * HOUR and high < 1.5 * HOUR:
        return _rounded(low / MINUTE, high / MINUTE, 1 if high < 20 * MINUTE else 5, 1, "minute")
    return _rounded(low / HOUR, high / HOUR, 1, 1, "hour")


def _rounded(low: float, high: float, step: int, least: int, unit: str) -> str:
    first, last = (max(least, round(number / step) * step) for number in (low, high))
    if first != last:
        return f"{first}-{last} {unit}s"
    return f"about {first} {unit}" + ("" if first == 1 else "s")
