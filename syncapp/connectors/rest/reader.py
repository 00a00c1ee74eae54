"""One read: pages in order, with requests sent ahead where it is known which pages will follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

from syncapp.connectors.rest.body import Content, understand
from syncapp.connectors.rest.config import RestConfig
from syncapp.connectors.rest.detect import walk_for
from syncapp.connectors.rest.messages import Messages, http_date
from syncapp.connectors.rest.walk import Place
from syncapp.connectors.rest.wire import Exchange, Wire
from syncapp.errors import RateLimited, RequestRejected
from syncapp.ports import ReadRequest
from syncapp.records import Json, Page

EMPTY_PAGES = 100  # so many in a row, with more promised after each of them, are an endless read


class WireReader(Iterator[Page], ABC):
    """Yields a read's pages. A read that was closed before its end never looks like one that ended: it raises."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ended = False
        self._pages = self._read()

    def __next__(self) -> Page:
        for page in self._pages:
            return page
        if not self._ended:
            raise self._wire.stopped()
        raise StopIteration

    def close(self) -> None:
        """Ends the read. A thread that waits in `__next__` meanwhile gets ConnectionFailed."""
        self._wire.close()
        try:
            self._pages.close()
        except ValueError:  # the other thread is in it, and comes out by itself now
            return

    @abstractmethod
    def _read(self) -> Generator[Page, None, None]:
        """The pages; at their end it sets `_ended`."""


class PageReader(WireReader):
    """The pages of one resource."""

    def __init__(self, config: RestConfig, request: ReadRequest, wire: Wire) -> None:
        super().__init__(wire)
        self._config = config
        self._request = request
        self._walk = walk_for(config, wire.messages, complete=request.since is None)
        self._query = urlencode([*config.params, *since_params(config, request.since)])
        self._ahead: deque[tuple[Place, Exchange]] = deque()
        self._window, self._widest = 1, config.concurrency
        self._missed = self._repeats = 0
        self._loops = _Loops(config, wire.messages)
        self._date: tuple[str | None, datetime | None] = (None, None)

    def _read(self) -> Generator[Page, None, None]:
        try:
            place: Place | None = self._begin()
            while place is not None:
                content = self._fetch(place)
                if content is None:
                    yield Page([])
                    break
                following = self._walk.following(place, content)
                repeated = self._loops.check(content, following)
                if following is not None:
                    self._send_ahead(following)
                total = None if (following or place).get("unsure") else content.total
                yield Page([] if repeated else content.records, following, total, self._time(content))
                place = following
            self._ended = True
        finally:
            self._drop_ahead()
            self._wire.close()

    def _begin(self) -> Place:
        position = self._request.position
        if isinstance(position, dict) and self._walk.accepts(position):
            return position
        return self._walk.first()

    def _fetch(self, place: Place) -> Content | None:
        """The page at `place`; None where a page that was only tried turned out not to exist."""
        exchange = self._ahead.popleft()[1] if self._ahead else self._wire.send(self._target(place))
        try:
            answer = self._wire.receive(exchange)
        except RequestRejected:
            if place.get("probe"):
                return None
            raise
        return understand(self._config, self._wire.messages, answer)

    def _send_ahead(self, following: Place) -> None:
        """Sends the requests that will follow, twice as many each time, so that their answers wait for their turn."""
        if self._ahead and self._ahead[0][1].target != self._target(following):
            self._drop_ahead()
            self._missed += 1
        self._widen()
        place: Place | None = following if not self._ahead else self._walk.ahead(self._ahead[-1][0])
        while place is not None and len(self._ahead) < self._window:
            try:
                self._ahead.append((place, self._wire.send(self._target(place))))
            except RateLimited:  # met again, and raised, when the page's turn comes
                return
            place = self._walk.ahead(place)

    def _widen(self) -> None:
        if self._widest == 0:
            self._window = 0
            return
        if self._missed > 2 + self._loops.pages // 8:  # the API's links are not what they seem: no more guesses
            self._widest = 1
        if self._wire.repeats > self._repeats:  # it has trouble: begin again gently
            self._repeats = self._wire.repeats
            self._window, self._widest = 1, max(1, self._widest // 2)
        else:
            self._window = min(self._window * 2, self._widest)

    def _drop_ahead(self) -> None:
        for _, exchange in self._ahead:
            self._wire.drop(exchange)
        self._ahead.clear()

    def _target(self, place: Place) -> str:
        """Path and query of a place. An address that the API handed over stands as it is."""
        if "next" in place:
            return str(place["next"])
        query = "&".join(filter(None, (self._query, urlencode(place["params"]))))
        return f"{self._config.path}?{query}" if query else self._config.path

    def _time(self, content: Content) -> datetime | None:
        text = content.headers.get("Date")
        if text != self._date[0]:
            self._date = (text, http_date(text))
        return self._date[1]


def since_params(config: RestConfig, since: str | None) -> list[tuple[str, str]]:
    """`ReadRequest.since` as the API wants it."""
    if since is None or config.since_param is None:
        return []
    time = datetime.fromisoformat(since).astimezone(UTC)
    match config.since_format:
        case "rfc3339":
            text = time.isoformat(timespec="microseconds" if time.microsecond else "seconds").replace("+00:00", "Z")
        case "date":
            text = time.date().isoformat()
        case "epoch":
            text = str(int(time.timestamp()))
        case "epoch_ms":
            text = str(int(time.timestamp() * 1000))
        case pattern:
            text = time.strftime(pattern)
    return [(config.since_param, text)]


class _Loops:
    """Notices a read that would never end."""

    def __init__(self, config: RestConfig, messages: Messages) -> None:
        self._config = config
        self._messages = messages
        self._seen: set[int] = set()
        self._previous: list[Json] = []
        self._empty = 0
        self.pages = 0

    def check(self, content: Content, following: Place | None) -> bool:
        """Whether the page is the one before it once more. Raises InvalidData where more is promised after that."""
        self.pages += 1
        repeated = bool(content.records) and content.records == self._previous
        if following is None:
            return repeated
        if following.get("again"):
            self._seen.clear()
            self._previous = []
            return False
        self._previous = content.records
        self._empty = 0 if content.records else self._empty + 1
        if repeated or self._known(following) or self._empty >= EMPTY_PAGES or self.pages >= self._config.max_pages:
            text = f"the pages of {self._config.path} never end: page {self.pages} of this read leads in a circle"
            raise self._messages.invalid("PAGE_LOOP", text)
        return False

    def _known(self, following: Place) -> bool:
        """Whether an address or a cursor comes a second time. Page numbers only ever go up."""
        if following["by"] in {"page_number", "offset"}:
            return False
        mark = hash(following.get("next") or str(following["params"]))
        known = mark in self._seen
        self._seen.add(mark)
        return known
