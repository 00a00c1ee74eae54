"""The numbered events of runs, for those who follow them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import Run
from syncapp.queries.progress import ProgressView, read_progress
from syncapp.records import ENDED, Json
from syncapp.scope import EVERYONE, Scope

PAGE = 50  # events of a run that are read at once
# One statement, hence one moment: a run that has ended is not taken to be at its end before its last event is read.
NEXT = text(
    f"""
SELECT wanted.sync_id, wanted.seen, run.status, run.event_seq, found.seq, found.kind, found.at, found.data
FROM unnest(CAST(:sync_ids AS text[]), CAST(:seen AS int[])) AS wanted (sync_id, seen)
JOIN sync_runs run ON run.sync_id = wanted.sync_id
LEFT JOIN LATERAL (
    SELECT * FROM run_events WHERE sync_id = wanted.sync_id AND seq > wanted.seen ORDER BY seq LIMIT {PAGE}
) found ON true
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


@dataclass(slots=True)
class EventPage:
    """The events that come after a place, PAGE of them at most.

    has_ended  whether the run had ended when they were read, and `newest` was the number of its last event
    progress   the run's, at least as far as the events say; None where there are none, or the run is gone
    """

    place: Place
    has_ended: bool
    newest: int
    events: list[NumberedEvent] = field(default_factory=list)
    progress: ProgressView | None = None

    @property
    def next(self) -> Place:
        return self.place._replace(seen=self.events[-1].seq) if self.events else self.place

    @property
    def has_more(self) -> bool:
        return len(self.events) == PAGE

    @property
    def is_last(self) -> bool:
        """Whether no event will ever come after these."""
        return self.has_ended and self.next.seen >= self.newest


def find_place(db: Database, scope: Scope, sync_id: str, seen: int) -> Place | None:
    """Where somebody goes on who has seen the event of that number; None where nothing can come any more.

    A number that the run has not come to yet is taken for its newest. Raises NotFound: unknown, or another
    organization's.
    """
    with db.session(scope) as session:
        row = session.execute(select(Run.status, Run.event_seq).where(Run.sync_id == sync_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {sync_id}")
    status, newest = row
    return None if status in ENDED and seen >= newest else Place(sync_id, min(seen, newest))


def read_events(db: Database, places: Collection[Place]) -> dict[Place, EventPage]:
    """What comes next at each of the places, whose owners may see the runs; without those whose run is gone.

    Raises DatabaseUnavailable.
    """
    wanted = {"sync_ids": [place.sync_id for place in places], "seen": [place.seen for place in places]}
    pages: dict[Place, EventPage] = {}
    with db.session(EVERYONE) as session:
        for sync_id, seen, status, newest, *event in session.execute(NEXT, wanted):
            place = Place(sync_id, seen)
            page = pages.setdefault(place, EventPage(place, status in ENDED, newest))
            if event[0] is not None:
                page.events.append(NumberedEvent(*event))
        told = [page for page in pages.values() if page.events]
        progress = read_progress(session, {page.place.sync_id for page in told}) if told else {}
    for page in told:
        page.progress = progress.get(page.place.sync_id)
    return pages
