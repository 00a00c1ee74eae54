"""What Cupid has of some properties, with several requests under way at once.

A property is asked for by its id, then its reviews and its translations. Where the server gave validators for all of
them last time (ETag, Last-Modified), they go along, and 304 to all means: nothing has changed. Where one has changed,
all are read whole, since they belong together.

Source of paths, shapes and the header: programs that use the API; it has no public page of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from syncapp.connectors.rest.body import parse
from syncapp.connectors.rest.wire import NOT_MODIFIED, Answer, Exchange, Wire
from syncapp.errors import ConnectionFailed, CredentialsRefused, InvalidData, RequestRejected, SyncError
from syncapp.records import Json

PROPERTY, REVIEWS = "property", "reviews"
MOST_REVIEWS = 1_000_000  # the API wants a number, and has no pages
VALIDATORS = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
OF_ONE = ("SERVER_ERROR", "TIMEOUT", "CONNECTION_CUT")  # failures that may be one property's alone
FORBIDDEN = "PERMISSION_MISSING"

Part = tuple[int, str]
Mark = dict[str, dict[str, str]]
"""The validators of each part of a property, by the name of the request's header."""


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


@dataclass(slots=True)
class Fetcher:
    """`width` requests are under way at once. Raises what is no matter of one property: RateLimited,
    CredentialsRefused, ConnectionFailed."""

    wire: Wire
    languages: Sequence[str]
    width: int = 1

    @property
    def parts(self) -> tuple[str, ...]:
        return (PROPERTY, REVIEWS, *self.languages)

    def fetch(self, ids: Sequence[int], marks: Mapping[int, Mark]) -> list[Outcome]:
        """One outcome for each id, in their order."""
        marks = {key: mark for key, mark in marks.items() if mark.keys() == set(self.parts)}
        answers = self._ask([(one, PROPERTY) for one in ids], marks)
        there = [one for one in ids if isinstance(answers[one, PROPERTY], Answer)]
        same = [one for one in there if _is_same(answers[one, PROPERTY])]
        others = [(one, part) for one in there for part in self.parts[1:]]
        answers |= self._ask(others, {one: marks[one] for one in same})
        changed = [one for one in same if self._has_changed(one, answers)]
        again = [(one, part) for one in changed for part in self.parts if _is_same(answers[one, part])]
        answers |= self._ask(again, {})
        return [self._outcome(one, answers) for one in ids]

    def can_read(self, property_id: int) -> bool:
        """Whether Cupid has an answer for this one, be it that there is none. Raises RateLimited."""
        try:
            self._unwrapped(self._ask([(property_id, PROPERTY)], {})[property_id, PROPERTY])
        except RequestRejected:
            return True
        except (ConnectionFailed, CredentialsRefused, InvalidData):
            return False
        return True

    def _ask(self, wanted: Iterable[Part], marks: Mapping[int, Mark]) -> dict[Part, Answer | SyncError]:
        answers: dict[Part, Answer | SyncError] = {}
        under_way: deque[tuple[Part, Exchange]] = deque()
        try:
            for one in wanted:
                if len(under_way) >= self.width:
                    self._take(under_way, answers)
                headers = marks.get(one[0], {}).get(one[1], {})
                under_way.append((one, self.wire.send(self._target(one), headers=tuple(headers.items()))))
            while under_way:
                self._take(under_way, answers)
        finally:
            for _, exchange in under_way:
                self.wire.drop(exchange)
        return answers

    def _take(self, under_way: deque[tuple[Part, Exchange]], answers: dict[Part, Answer | SyncError]) -> None:
        part, exchange = under_way.popleft()
        try:
            answers[part] = self.wire.receive(exchange)
        except (RequestRejected, InvalidData) as error:
            answers[part] = error
        except (ConnectionFailed, CredentialsRefused) as error:
            codes = [FORBIDDEN, *map(self.wire.messages.code, OF_ONE)]
            if error.error_code not in codes or getattr(error, "retry_after", None) is not None:
                raise
            answers[part] = error

    def _target(self, part: Part) -> str:
        path, (property_id, name) = self.wire.config.path, part
        if name == PROPERTY:
            return f"{path}/{property_id}"
        if name == REVIEWS:
            return f"{path}/reviews/{property_id}/{MOST_REVIEWS}"
        return f"{path}/{property_id}/lang/{name}"

    def _has_changed(self, one: int, answers: Mapping[Part, Answer | SyncError]) -> bool:
        found = [answers[one, part] for part in self.parts]
        return not all(map(_is_same, found)) and all(map(self._is_usable, found))

    def _is_usable(self, found: Answer | SyncError) -> bool:
        return isinstance(found, Answer) or self._is_absent(found)

    def _is_absent(self, found: Answer | SyncError) -> bool:
        return isinstance(found, SyncError) and found.error_code == self.wire.messages.code("NOT_FOUND")

    def _outcome(self, one: int, answers: Mapping[Part, Answer | SyncError]) -> Outcome:
        found = {part: answers[one, part] for part in self.parts if (one, part) in answers}
        if all(map(_is_same, found.values())):
            return Unchanged(one)
        try:
            return Found(one, self._record(one, found), _mark(found.values(), found))
        except SyncError as error:
            return Unread(one, error)

    def _record(self, one: int, found: Mapping[str, Answer | SyncError]) -> dict[str, Json]:
        """Raises the first error of a part that has to be there. A translation that is not there is none; so are the
        reviews of a property that counts none."""
        content = self._unwrapped(found[PROPERTY])
        counts = content.get("review_count") if isinstance(content, dict) else None
        missing = [part for part in (*self.languages, *([] if counts else [REVIEWS])) if self._is_absent(found[part])]
        read = {part: None if part in missing else self._unwrapped(found[part]) for part in self.parts[1:]}
        translations = {language: read[language] for language in self.languages}
        return {"property_id": one, PROPERTY: content, REVIEWS: read[REVIEWS], "translations": translations}

    def _unwrapped(self, found: Answer | SyncError) -> Json:
        """The body, or what stands under its `data`. Raises the error, InvalidData."""
        if isinstance(found, SyncError):
            raise found
        body = parse(self.wire.messages, found)
        return body["data"] if isinstance(body, dict) and body.keys() == {"data"} else body


def _is_same(found: Answer | SyncError) -> bool:
    return isinstance(found, Answer) and found.status == NOT_MODIFIED


def _mark(answers: Collection[Answer | SyncError], parts: Iterable[str]) -> Mark | None:
    """None where the server gave no validator for one of the parts."""
    mark = {part: _validators(answer) for part, answer in zip(parts, answers, strict=True)}
    return mark if all(mark.values()) else None


def _validators(answer: Answer | SyncError) -> dict[str, str]:
    headers: Mapping[str, Any] = answer.headers if isinstance(answer, Answer) else {}
    return {ask: str(headers.get(told)) for ask, told in VALIDATORS if headers.get(told)}
