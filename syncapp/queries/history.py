"""How a sync has fared, from its runs. A run that made its records up is no success.

Dry runs never count, nor do replays, which read no source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, ScalarSelect, Subquery, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Text

from syncapp.models import Run, StreamState
from syncapp.records import RunStatus

DAY, WEEK = timedelta(days=1), timedelta(days=7)
JUDGED = (RunStatus.COMPLETED, RunStatus.FAILED)
COUNTS = (Run.dry_run.is_(False), Run.replay_of.is_(None), Run.undo_of.is_(None))


@dataclass(frozen=True, slots=True)
class History:
    """Of one sync, for the session's organization. Rates are 0 to 1, None where nothing ended in that time.

    source            where the last completed run had its records from: live, mock, None where there was none
    last_complete_at  the last time every record of the source was read
    failures          failed runs since the last completed one
    last_error_type   of the last run that ended, None where it completed
    """

    last_run_at: datetime | None = None
    last_success_at: datetime | None = None
    last_complete_at: datetime | None = None
    success_rate_24h: float | None = None
    success_rate_7d: float | None = None
    source: str | None = None
    failures: int = 0
    ended: bool = False
    last_error_type: str | None = None

    def freshness_seconds(self, now: datetime) -> float | None:
        """The age of the data as a whole: seconds since the last success."""
        if self.last_success_at is None:
            return None
        return max(0.0, round((now - self.last_success_at).total_seconds(), 3))


def read_history(session: Session, names: Sequence[str], now: datetime) -> dict[str, History]:
    """The history of each sync, in one statement that reads the ends of an index, not all runs."""
    syncs = select(func.unnest(literal(list(names), ARRAY(Text))).label("sync")).subquery("syncs")
    completed = Run.status == RunStatus.COMPLETED
    ended = Run.status.in_(JUDGED)
    last_completed = _latest(syncs, Run.created_at, completed)
    statement = select(
        syncs.c.sync,
        _latest(syncs, Run.started_at, Run.started_at.is_not(None)).label("last_run_at"),
        _latest(syncs, Run.completed_at, completed, Run.source == "live").label("last_success_at"),
        _last_complete(syncs).label("last_complete_at"),
        _rate(syncs, now - DAY).label("success_rate_24h"),
        _rate(syncs, now - WEEK).label("success_rate_7d"),
        _latest(syncs, Run.source, completed).label("source"),
        _failures_since(syncs, last_completed).label("failures"),
        func.coalesce(_latest(syncs, literal(True), ended), False).label("ended"),
        _latest(syncs, Run.error_type, ended).label("last_error_type"),
    )
    rows = session.execute(statement).mappings().all()
    return {row["sync"]: History(**{name: value for name, value in row.items() if name != "sync"}) for row in rows}


def _latest(syncs: Subquery, value: Any, *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    """`value` of the newest run that meets the conditions."""
    found = select(value).where(Run.sync == syncs.c.sync, *COUNTS, *conditions)
    return found.order_by(Run.created_at.desc()).limit(1).correlate(syncs).scalar_subquery()


def _rate(syncs: Subquery, since: datetime) -> ScalarSelect[Any]:
    good = func.count().filter(Run.status == RunStatus.COMPLETED, Run.source == "live")
    return (
        select(good.cast(Float) / func.nullif(func.count(), 0))
        .where(Run.sync == syncs.c.sync, *COUNTS, Run.status.in_(JUDGED), Run.completed_at >= since)
        .correlate(syncs)
        .scalar_subquery()
    )


def _failures_since(syncs: Subquery, since: ScalarSelect[Any]) -> ScalarSelect[Any]:
    return (
        select(func.count())
        .select_from(Run)
        .where(
            Run.sync == syncs.c.sync,
            *COUNTS,
            Run.status == RunStatus.FAILED,
            Run.created_at > func.coalesce(since, literal("-infinity").cast(Run.created_at.type)),
        )
        .correlate(syncs)
        .scalar_subquery()
    )


def _last_complete(syncs: Subquery) -> ScalarSelect[Any]:
    """When the stream that has waited longest was last read whole."""
    return (
        select(func.min(StreamState.last_complete_at))
        .where(StreamState.sync == syncs.c.sync)
        .correlate(syncs)
        .scalar_subquery()
    )
