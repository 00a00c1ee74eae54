"""How a read goes from page to page.

A place is JSON that names one page, to be kept in a checkpoint: {"by": "page_number", "params": {"page": 7},
"size": 100, "total": 999} or {"by": "json_link", "next": "/v1/clients?page=7"}. `by` is how the API pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

from syncapp.connectors.rest.body import Content, find
from syncapp.connectors.rest.config import Offset, PageNumber, RestConfig
from syncapp.connectors.rest.links import link_header, next_target
from syncapp.connectors.rest.messages import Messages
from syncapp.errors import ConnectionFailed

Place = dict[str, Any]

NEXT_URLS = (
    "links.next",
    "_links.next.href",
    "_links.next",
    "next",
    "next_page_url",
    "next_url",
    "next_page",
    "meta.next",
    "meta.next_page_url",
    "paging.next",
    "pagination.next",
    "pagination.next_url",
    "@odata.nextLink",
)
LAST_URLS = ("links.last", "_links.last.href", "last_page_url", "meta.last")
# a cursor's usual place in the body, and the parameter that takes it
CURSORS = {
    "next_cursor": "cursor",
    "meta.next_cursor": "cursor",
    "pagination.next_cursor": "cursor",
    "cursors.next": "cursor",
    "paging.cursors.after": "after",
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
}
PAGE_IN_LINK = re.compile(r"([?&](?:page|page_number|page(?:\[|%5B)number(?:\]|%5D))=)(\d{1,9})(?=&|$)", re.IGNORECASE)


class Walk(Protocol):
    """Goes through one read."""

    def first(self) -> Place: ...

    def accepts(self, place: Place, /) -> bool:
        """Whether a place kept by an earlier read, perhaps under another configuration, still means something."""

    def following(self, place: Place, content: Content, /) -> Place | None:
        """The place after this one, None at the end; an earlier one where pages shifted and must be read again."""

    def ahead(self, place: Place, /) -> Place | None:
        """The place that will follow, as far as it is known without the answer."""


class Shifts:
    """Notices that records moved up while they were read, because some before them vanished.

    The total then drops from one page to the next, and as many records slipped past the border between the two.
    """

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._pages = 0
        self._times = 0

    def back(self, before: int | None, after: int | None, size: int) -> int:
        """How many pages to go back. Raises ConnectionFailed where the source changes faster than it can be read."""
        self._pages += 1
        if before is None or after is None or after >= before:
            return 0
        self._times += 1
        if self._times > 10 + self._pages // 4:
            raise self._unstable()
        return -(-(before - after) // max(size, 1))

    def _unstable(self) -> ConnectionFailed:
        return self._messages.failed("PAGES_SHIFT", "its pages shift faster than they can be read")


class NumberedWalk:
    """`page` and `per_page`, or `offset` and `limit`.

    `sure` is False where nothing says that the API pages at all. A total is not believed then; the read ends at an
    empty page, or where a page begins as the one before it: an API that ignores `page`, or repeats its last page.
    """

    def __init__(
        self, config: RestConfig, messages: Messages, style: PageNumber | Offset, *, complete: bool, sure: bool
    ) -> None:
        self._messages = messages
        self._complete = complete
        self._sure = sure
        self._shifts = Shifts(messages)
        self._previous: list[Any] | None = None
        self._last: int | None = None
        self._asked = config.page_size
        if isinstance(style, Offset):
            self.by, self._param, self._size_param = "offset", style.offset_param, style.limit_param
            self._begin = 0
        else:
            self.by, self._param, self._size_param = "page_number", style.page_param, style.size_param or ""
            self._begin = style.first_page

    def first(self) -> Place:
        return self.at(self._begin)

    def at(self, number: int, size: int | None = None, total: int | None = None) -> Place:
        params: dict[str, Any] = {self._param: number}
        if self._size_param:
            params[self._size_param] = self._asked
        place: Place = {"by": self.by, "params": params}
        if not self._sure:
            place["unsure"] = True
        return place | ({"size": size} if size else {}) | ({"total": total} if total is not None else {})

    def accepts(self, place: Place) -> bool:
        return place.get("by") == self.by and isinstance(place.get("params", {}).get(self._param), int)

    def following(self, place: Place, content: Content) -> Place | None:
        number = int(place["params"].get(self._param, self._begin))
        size = self._size(place, content)
        step = size if self.by == "offset" else 1
        total = content.total if self._sure else None
        back = self._shifts.back(place.get("total"), total, size)
        if back and number > self._begin:
            return {**self.at(max(self._begin, number - back * step), size, total), "again": True}
        if not self._sure:
            if self._repeats(content):
                return None
            self._previous = content.records
        self._last = self._last_number(content, size, step)
        if not content.records:
            self._check_end(content, number, size)
            return None
        if content.more is False or (self._last is not None and number >= self._last):
            return None
        following = self.at(number + (len(content.records) if self.by == "offset" else 1), size, total)
        if not self._sure and number == self._begin and len(content.records) < self._asked:
            following["probe"] = True
        return following

    def ahead(self, place: Place) -> Place | None:
        number = int(place["params"].get(self._param, self._begin))
        step = int(place.get("size") or 0) if self.by == "offset" else 1
        if self._last is None or not step or number + step > self._last:
            return None
        return self.at(number + step, place.get("size"), place.get("total"))

    def _size(self, place: Place, content: Content) -> int:
        """What a full page holds: an API may cap it below what was asked for."""
        if place.get("size"):
            return int(place["size"])
        held = len(content.records) or self._asked
        says_more = content.total is not None and content.total > held
        return held if says_more or not content.size or content.size > self._asked else content.size

    def _last_number(self, content: Content, size: int, step: int) -> int | None:
        if not self._sure:
            return None
        if self.by == "page_number" and content.last_page is not None:
            return self._begin + content.last_page - 1
        if content.total is None:
            return None
        return self._begin + (max(-(-content.total // size), 1) - 1) * step

    def _repeats(self, content: Content) -> bool:
        return bool(self._previous and content.records and content.records[0] == self._previous[0])

    def _check_end(self, content: Content, number: int, size: int) -> None:
        """An empty page although the same answer promises more must not pass for a complete read."""
        before = number if self.by == "offset" else (number - self._begin) * size
        if self._complete and content.total is not None and before < content.total:
            text = (
                f"{self._messages.config.path} promised {content.total} records, but those after {before} are missing"
            )
            raise self._messages.invalid("EMPTY_PAGE", text)


class LinkWalk:
    """The next page's address, in the body or in the Link header."""

    def __init__(
        self, config: RestConfig, messages: Messages, by: str, params: dict[str, Any], paths: Iterable[str]
    ) -> None:
        self._config = config
        self._messages = messages
        self._paths = tuple(paths)
        self._params = params
        self._shifts = Shifts(messages)
        self._last: int | None = None
        self.by = by

    def first(self) -> Place:
        return {"by": self.by, "params": self._params}

    def accepts(self, place: Place) -> bool:
        return place.get("by") == self.by and str(place.get("next", "")).startswith("/")

    def following(self, place: Place, content: Content) -> Place | None:
        links = link_header(content.headers.get("Link")) if self.by == "header_link" else {}
        link = links.get("next") if self.by == "header_link" else _text(find(content.body, self._paths))
        last = links.get("last") if self.by == "header_link" else _text(find(content.body, LAST_URLS))
        self._last = _page_of(last)
        total = {"total": content.total} if content.total is not None else {}
        earlier = self._earlier(place, content)
        if earlier:
            return {"by": self.by, "next": earlier, "again": True, **total}
        if not link:
            return None
        return {"by": self.by, "next": next_target(self._config, self._messages, content.target, link), **total}

    def ahead(self, place: Place) -> Place | None:
        target = place.get("next") or ""
        page = _page_of(target)
        if page is None or self._last is None or page >= self._last:
            return None
        return {**place, "next": _with_page(target, page + 1)}

    def _earlier(self, place: Place, content: Content) -> str | None:
        """The page to go back to where records slipped past the border between two pages."""
        page = _page_of(content.target)
        back = self._shifts.back(place.get("total"), content.total, content.size or self._config.page_size)
        if not back or page is None:
            return None
        return _with_page(content.target, max(1, page - back))


class CursorWalk:
    def __init__(self, params: dict[str, Any], paths: dict[str, str]) -> None:
        self._params = params
        self._paths = paths

    def first(self) -> Place:
        return {"by": "cursor", "params": self._params}

    def accepts(self, place: Place) -> bool:
        return place.get("by") == "cursor" and any(param in place.get("params", {}) for param in self._paths.values())

    def following(self, _place: Place, content: Content) -> Place | None:
        if content.more is False:
            return None
        for path, param in self._paths.items():
            cursor = find(content.body, (path,))
            if isinstance(cursor, str | int) and not isinstance(cursor, bool) and cursor != "":
                return {"by": "cursor", "params": {**self._params, param: cursor}}
        return None

    def ahead(self, _place: Place) -> Place | None:
        return None


class SingleWalk:
    def first(self) -> Place:
        return {"by": "single_page", "params": {}}

    def accepts(self, _place: Place) -> bool:
        return False

    def following(self, _place: Place, _content: Content) -> Place | None:
        return None

    def ahead(self, _place: Place) -> Place | None:
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _page_of(link: str | None) -> int | None:
    match = PAGE_IN_LINK.search(link or "")
    return int(match[2]) if match else None


def _with_page(link: str, page: int) -> str:
    return PAGE_IN_LINK.sub(lambda match: f"{match[1]}{page}", link, count=1)
