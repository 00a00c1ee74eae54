"""What Cupid has of some properties, with several requests under way at once.

A property is asked for by its id, then its reviews and its translations. Where the server gave validators for all of
them last time (ETag, Last-Modified), they go along, and 304 to all means: nothing has changed. Where one has changed,
all are read whole, since they belong together.

Source of paths, shapes and the header: programs that use the API; it has no public page of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, NamedTuple

from syncapp.connectors.rest.body import parse
from syncapp.connectors.rest.header import Lines
from syncapp.connectors.rest.wire import NOT_MODIFIED, Answer, Exchange, Wire
from syncapp.errors import ConnectionFailed, CredentialsRefused, InvalidData, RateLimited, RequestRejected, SyncError
from syncapp.records import Json

PROPERTY, REVIEWS = "property", "reviews"
MOST_REVIEWS = 1_000_000  # the API wants a number, and has no pages
VALIDATORS = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
OF_ONE = ("SERVER_ERROR", "TIMEOUT", "CONNECTION_CUT", "NOT_HTTP")  # failures that may be one property's alone
FORBIDDEN = "PERMISSION_MISSING"

Part = Answer | SyncError
Mark = dict[str, dict[str, str]]
"""The validators of each part of a property, by the name of the request's header."""


def parts_of(languages: Sequence[str]) -> tuple[str, ...]:
    """What is asked for of a property, a request each."""
    return (PROPERTY, REVIEWS, *languages)


class Found(NamedTuple):
    """A property as it is now. `mark` is None where the server gave no validators."""

    property_id: int
    record: dict[str, Json]
    mark: Mark | None


class Unchanged(NamedTuple):
    property_id: int


class Unread(NamedTuple):
    """A property that could not be read while others can."""

    property_id: int
    error: SyncError


Outcome = Found | Unchanged | Unread


class _Ask(NamedTuple):
    property_id: int
    part: str
    headers: Lines = ()


@dataclass(slots=True)
class _Parts:
    """What has come of one property so far. `open` are the parts that are asked for and not answered yet."""

    property_id: int
    mark: Mark
    found: dict[str, Part] = field(default_factory=dict)
    open: int = 1
    asked_again: bool = False

    @property
    def complete(self) -> bool:
        return self.open == 0


@dataclass(slots=True)
class Fetcher:
    """`width` requests are under way at once; one, until the first property is there: an API that allows only a few has
    them spent on one property, and the read gets on."""

    wire: Wire
    languages: Sequence[str]
    width: int = 1
    begun: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return parts_of(self.languages)

    def fetch(self, ids: Sequence[int], marks: Mapping[int, Mark]) -> tuple[list[Outcome], SyncError | None]:
        """One outcome for each id, in their order; where something ended it that is no matter of one property
        (RateLimited, CredentialsRefused, ConnectionFailed), those of the first ones and that error."""
        known = {key: mark for key, mark in marks.items() if mark.keys() == set(self.parts)}
        hotels = {one: _Parts(one, known.get(one, {})) for one in ids}
        error: SyncError | None = None
        try:
            self._ask_all(hotels)
        except (RateLimited, CredentialsRefused, ConnectionFailed) as ended:
            error = ended
        first = takewhile(lambda hotel: hotel.complete, hotels.values())
        return [self._outcome(hotel) for hotel in first], error

    def can_read(self, property_id: int) -> bool:
        """Whether Cupid has an answer for this one, be it that there is none. Raises RateLimited."""
        try:
            self._unwrapped(self.wire.receive(self.wire.send(self._target(property_id, PROPERTY))))
        except RequestRejected:
            return True
        except (ConnectionFailed, CredentialsRefused, InvalidData):
            return False
        return True

    def _ask_all(self, hotels: Mapping[int, _Parts]) -> None:
        """What belongs to a property that has begun goes before the next ones."""
        todo = deque(_Ask(one, PROPERTY, _conditions(hotel.mark, PROPERTY)) for one, hotel in hotels.items())
        under_way: deque[tuple[_Ask, Exchange]] = deque()
        try:
            while todo or under_way:
                if todo and len(under_way) < (self.width if self.begun else 1):
                    ask = todo.popleft()
                    target = self._target(ask.property_id, ask.part)
                    under_way.append((ask, self.wire.send(target, headers=ask.headers)))
                    continue
                ask, exchange = under_way.popleft()
                hotel = hotels[ask.property_id]
                todo.extendleft(reversed(self._note(hotel, ask.part, self._take(exchange))))
                self.begun = self.begun or hotel.complete
        finally:
            for _, exchange in under_way:
                self.wire.drop(exchange)

    def _take(self, exchange: Exchange) -> Part:
        try:
            return self.wire.receive(exchange)
        except (RequestRejected, InvalidData) as error:
            return error
        except (ConnectionFailed, CredentialsRefused) as error:
            if error.error_code not in (FORBIDDEN, *map(self.wire.messages.code, OF_ONE)):
                raise
            return error

    def _note(self, hotel: _Parts, part: str, answer: Part) -> list[_Ask]:
        """Keeps an answer; what is to be asked for because of it."""
        is_first = not hotel.found
        hotel.found[part] = answer
        hotel.open -= 1
        asks: list[_Ask] = []
        if is_first and isinstance(answer, Answer):
            mark = hotel.mark if _is_same(answer) else {}
            asks = [_Ask(hotel.property_id, other, _conditions(mark, other)) for other in self.parts[1:]]
        elif hotel.complete and not hotel.asked_again and self._has_changed(hotel.found):
            hotel.asked_again = True
            asks = [_Ask(hotel.property_id, same) for same, found in hotel.found.items() if _is_same(found)]
        hotel.open += len(asks)
        return asks

    def _target(self, property_id: int, part: str) -> str:
        path = self.wire.config.path
        if part == PROPERTY:
            return f"{path}/{property_id}"
        if part == REVIEWS:
            return f"{path}/reviews/{property_id}/{MOST_REVIEWS}"
        return f"{path}/{property_id}/lang/{part}"

    def _has_changed(self, found: Mapping[str, Part]) -> bool:
        """Whether some parts are other ones now, and all can be used."""
        same = [_is_same(part) for part in found.values()]
        usable = all(isinstance(part, Answer) or self.wire.messages.says_absent(part) for part in found.values())
        return usable and any(same) and not all(same)

    def _outcome(self, hotel: _Parts) -> Outcome:
        if all(map(_is_same, hotel.found.values())):
            return Unchanged(hotel.property_id)
        for part, found in hotel.found.items():
            if isinstance(found, SyncError) and (part == PROPERTY or not self.wire.messages.says_absent(found)):
                return Unread(hotel.property_id, found)
        try:
            return Found(hotel.property_id, self._record(hotel), _mark(hotel.found))
        except SyncError as error:
            return Unread(hotel.property_id, error)

    def _record(self, hotel: _Parts) -> dict[str, Json]:
        """A translation that is not there is none; so are the reviews of a property that counts none.

        Raises InvalidData, and RequestRejected where reviews are missing that have been counted.
        """
        content = self._unwrapped(hotel.found[PROPERTY])
        counts = content.get("review_count") if isinstance(content, dict) else None
        may_be_absent = (*self.languages, *([] if counts else [REVIEWS]))
        read = {
            part: None if part in may_be_absent and self.wire.messages.says_absent(found) else self._unwrapped(found)
            for part, found in hotel.found.items()
            if part != PROPERTY
        }
        translations = {language: read[language] for language in self.languages}
        record = {"property_id": hotel.property_id, PROPERTY: content, REVIEWS: read[REVIEWS]}
        return record | {"translations": translations}

    def _unwrapped(self, found: Part) -> Json:
        """The body, or what stands under its `data`. Raises the error, InvalidData."""
        if isinstance(found, SyncError):
            raise found
        body = parse(self.wire.messages, found)
        return body["data"] if isinstance(body, dict) and body.keys() == {"data"} else body


def _is_same(found: Part) -> bool:
    return isinstance(found, Answer) and found.status == NOT_MODIFIED


def _mark(found: Mapping[str, Part]) -> Mark | None:
    """None where the server gave no validator for one of the parts."""
    mark = {part: _validators(answer) for part, answer in found.items()}
    return mark if all(mark.values()) else None


def _validators(answer: Part) -> dict[str, str]:
    headers: Mapping[str, Any] = answer.headers if isinstance(answer, Answer) else {}
    return {ask: str(headers.get(told)) for ask, told in VALIDATORS if headers.get(told)}


def _conditions(mark: Mark, part: str) -> Lines:
    return tuple(mark.get(part, {}).items())
