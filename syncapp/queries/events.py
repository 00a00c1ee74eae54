"""The numbered events of runs, for those who follow them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import Run
from syncapp.queries.progress import ENDED
from syncapp.records import Json
from syncapp.scope import EVERYONE, Scope

PAGE = 50  # events of a run that are read at once
NEXT = text(
    f"""
SELECT wanted.sync_id, wanted.seen, found.seq, found.kind, found.at, found.data
FROM unnest(CAST(:sync_ids AS text[]), CAST(:seen AS int[])) AS wanted (sync_id, seen)
CROSS JOIN LATERAL (
    SELECT * FROM run_events WHERE sync_id = wanted.sync_id AND seq > wanted.seen ORDER BY seq LIMIT {PAGE}
) found
ORDER BY found.seq"""
)


class Place(NamedTuple):
    """How far somebody has followed a run: `seen` is the number of the last event that was seen, 0 before the first."""

    sync_id: str
    seen: int


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    seq: int
    kind: str
    at: datetime
    data: Json


@dataclass(frozen=True, slots=True)
class RunNow:
    """How far a run is."""

    sync_id: str
    status: str
    records_processed: int
    records_total: int | None
    current_operation: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events that come after a place, PAGE of them at most.

    run     is at least as far as they say
    newest  the number of the run's last event so far
    """

    place: Place
    events: Sequence[NumberedEvent]
    run: RunNow
    newest: int

    @property
    def next(self) -> Place:
        return self.place._replace(seen=self.events[-1].seq) if self.events else self.place

    @property
    def has_more(self) -> bool:
        return len(self.events) == PAGE

    @property
    def is_last(self) -> bool:
        """Whether no event will ever come after these."""
        return self.run.has_ended and self.next.seen >= self.newest


def find_place(db: Database, scope: Scope, sync_id: str, seen: int) -> Place | None:
    """Where somebody goes on who has seen the event of that number; None where nothing can come any more.

    A number that the run has not come to yet is taken for its newest. Raises NotFound: unknown, or another
    organization's.
    """
    with db.session(scope) as session:
        found = _runs_now(session, [sync_id])
    if sync_id not in found:
        raise NotFound(f"There is no run {sync_id}")
    run, newest = found[sync_id]
    return None if run.has_ended and seen >= newest else Place(sync_id, min(seen, newest))


def read_events(db: Database, places: Collection[Place]) -> dict[Place, EventPage]:
    """What comes next at each of the places, whose owners may see the runs; without those whose run is gone.

    Raises DatabaseUnavailable.
    """
    found: dict[Place, list[NumberedEvent]] = {place: [] for place in places}
    wanted = {"sync_ids": [place.sync_id for place in found], "seen": [place.seen for place in found]}
    with db.session(EVERYONE) as session:
        for sync_id, seen, *event in session.execute(NEXT, wanted):
            found[Place(sync_id, seen)].append(NumberedEvent(*event))
        runs = _runs_now(session, {place.sync_id for place in found})  # after the events: none of them is ahead of it
    return {
        place: EventPage(place, events, *runs[place.sync_id])
        for place, events in found.items()
        if place.sync_id in runs
    }


def _runs_now(session: Session, sync_ids: Collection[str]) -> dict[str, tuple[RunNow, int]]:
    """The runs that are there, each with the number of its last event."""
    columns = (Run.sync_id, Run.status, Run.records_processed, Run.records_total, Run.current_operation, Run.event_seq)
    rows = session.execute(select(*columns).where(Run.sync_id.in_(sync_ids)))
    return {row.sync_id: (RunNow(*row[:-1]), row.event_seq) for row in rows}
