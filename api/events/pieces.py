"""Events as the text of a stream, in the form that browsers' EventSource reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass

from api.rendering import dump
from syncapp.db import Database
from syncapp.queries import EventPage, NumberedEvent, Place, ProgressView, read_events

RETRY = b"retry: 2000\n\n"  # milliseconds until a client whose stream has ended asks for the rest
KEEP_ALIVE = b":\n\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a stream writes next, and where it is then."""

    text: bytes
    next: Place
    has_more: bool
    is_last: bool


Read = Callable[[Collection[Place]], Mapping[Place, Piece]]


def read_pieces(db: Database, places: Collection[Place]) -> dict[Place, Piece]:
    """Raises DatabaseUnavailable."""
    found = read_events(db, places)
    return {place: _piece(found[place]) if place in found else Piece(b"", place, False, True) for place in places}


def _piece(page: EventPage) -> Piece:
    text = b"".join(_event_text(event, page.progress) for event in page.events) if page.progress else b""
    return Piece(text, page.next, page.has_more, page.is_last)


def _event_text(event: NumberedEvent, progress: ProgressView) -> bytes:
    data = dump(asdict(progress) | {"event": asdict(event)})
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.kind.encode(), data)
