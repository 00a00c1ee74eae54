"""Which walk a read takes: the configured one, or the one that the first answer shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from syncapp.connectors.rest.body import Content, find
from syncapp.connectors.rest.config import (
    Auto,
    Cursor,
    HeaderLink,
    JsonLink,
    Offset,
    PageNumber,
    RestConfig,
    SinglePage,
)
from syncapp.connectors.rest.links import link_header
from syncapp.connectors.rest.messages import Messages
from syncapp.connectors.rest.walk import (
    CURSORS,
    NEXT_URLS,
    CursorWalk,
    LinkWalk,
    NumberedWalk,
    Place,
    SingleWalk,
    Walk,
)


def walk_for(config: RestConfig, messages: Messages, *, complete: bool) -> Walk:
    sized: dict[str, Any] = {}
    if (size_param := getattr(config.paginator, "size_param", None)) is not None:
        sized[size_param] = config.page_size
    match config.paginator:
        case PageNumber() | Offset() as style:
            return NumberedWalk(config, messages, style, complete=complete, sure=True)
        case Cursor(cursor_path=path, cursor_param=param):
            return CursorWalk(sized, {path: param})
        case JsonLink(next_url_path=path):
            return LinkWalk(config, messages, "json_link", sized, (path,))
        case HeaderLink():
            return LinkWalk(config, messages, "header_link", sized, ())
        case SinglePage():
            return SingleWalk()
        case Auto() as auto:
            return AutoWalk(config, messages, auto, complete=complete)


class AutoWalk:
    """Asks as if pages were numbered, until an answer shows what the API really does."""

    def __init__(self, config: RestConfig, messages: Messages, auto: Auto, *, complete: bool) -> None:
        self._config = config
        self._messages = messages
        self._complete = complete
        self._style = PageNumber(auto.page_param, auto.size_param, auto.first_page)
        self._walk: Walk | None = None

    def first(self) -> Place:
        return {**self._numbered(sure=True).first(), "by": "auto"}

    def accepts(self, place: Place) -> bool:
        by = place.get("by")
        if by in {"header_link", "json_link"}:
            return str(place.get("next", "")).startswith("/")
        return by in {"page_number", "offset", "cursor"} and isinstance(place.get("params"), dict)

    def following(self, place: Place, content: Content) -> Place | None:
        if self._walk is None:
            self._walk = self._found(place, content)
        return self._walk.following(place, content)

    def ahead(self, place: Place) -> Place | None:
        return self._walk.ahead(place) if self._walk is not None else None

    def _found(self, place: Place, content: Content) -> Walk:
        """A place is `by` "auto" on the first page; after an interruption it tells what had been found before."""
        config, messages, body, by = self._config, self._messages, content.body, place["by"]
        known = by != "auto"
        if by == "header_link" or (not known and link_header(content.headers.get("Link")).keys() & LINK_RELATIONS):
            return LinkWalk(config, messages, "header_link", {}, ())
        if by == "json_link" or (not known and _has_next_url(body)):
            return LinkWalk(config, messages, "json_link", {}, NEXT_URLS)
        if by == "cursor" or (not known and _has_cursor(body)):
            sized = {self._style.size_param: config.page_size} if self._style.size_param else {}
            return CursorWalk(sized, CURSORS)
        if by == "offset" or (not known and "offset" in body and self._style.page_param not in body):
            return NumberedWalk(config, messages, Offset(), complete=self._complete, sure=True)
        return self._numbered(sure=not place.get("unsure") if known else self._is_sure(content))

    def _numbered(self, *, sure: bool) -> NumberedWalk:
        return NumberedWalk(self._config, self._messages, self._style, complete=self._complete, sure=sure)

    def _is_sure(self, content: Content) -> bool:
        """A total of exactly one full page may be no more than the page's own count."""
        if content.last_page is not None or content.more is not None or (content.size and content.total is not None):
            return True
        if content.total is None:
            return False
        return content.total > len(content.records) or len(content.records) < self._config.page_size


LINK_RELATIONS = frozenset({"next", "last", "first", "prev"})


def _has_next_url(body: dict[str, Any]) -> bool:
    return any(
        value is None or (isinstance(value, str) and (value.startswith("/") or "://" in value or "?" in value))
        for value in _values(body, NEXT_URLS)
    )


def _has_cursor(body: dict[str, Any]) -> bool:
    return any(True for _ in _values(body, CURSORS))


def _values(body: dict[str, Any], paths: Iterable[str]) -> Iterator[Any]:
    """What stands at the paths whose place is there: None on an only page, where nothing follows."""
    for path in paths:
        parents, _, name = path.rpartition(".")
        parent = find(body, (parents,)) if parents else body
        if isinstance(parent, dict) and name in parent:
            yield parent[name]
