"""Lists of records over HTTP, paged in any of the ways that APIs of the field page."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from syncapp.demo.exchange import Answer, Request
from syncapp.demo.faults import Records

PAGE_SIZE = 100
MAX_PAGE_SIZE = 10_000


class Listing:
    """Answers `GET /<resource>` from `records[resource]`, in the order they stand there.

    style    one of `STYLES`
    api_key  the Bearer key that is asked for; None asks for none
    """

    def __init__(self, records: Records, *, style: str = "total", api_key: str | None = None) -> None:
        if style not in STYLES:
            raise ValueError(f"unknown style {style}: one of {', '.join(STYLES)}")
        self.records = records
        self.style = style
        self.api_key = api_key

    def __call__(self, request: Request) -> Answer:
        if self.api_key is not None:
            sent = request.headers.get("authorization", "")
            if not hmac.compare_digest(sent.encode(), f"Bearer {self.api_key}".encode()):
                return Answer.json({"error": "invalid API key"}, 401, {"WWW-Authenticate": "Bearer"})
        resource = request.path.strip("/").split("/")[-1]
        if resource not in self.records:
            return Answer.json({"error": "not found"}, 404)
        if request.method != "GET":
            return Answer.json({"error": "method not allowed"}, 405, {"Allow": "GET"})
        try:
            rows = _updated_since(self.records[resource], request.params.get("updated_since"))
        except ValueError:
            return Answer.json({"error": "updated_since must be an RFC 3339 time"}, 422)
        return STYLES[self.style](request, resource, rows)


def _instant(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _updated_since(rows: list[Any], since: str | None) -> list[Any]:
    """The rows changed at `since` or later; rows without a readable `updated_at` always stay."""
    if not since:
        return list(rows)
    limit = _instant(since)
    kept = []
    for row in rows:
        updated = row.get("updated_at") if isinstance(row, dict) else None
        try:
            if isinstance(updated, str) and _instant(updated) < limit:
                continue
        except ValueError:
            pass
        kept.append(row)
    return kept


def _size(request: Request, name: str = "per_page") -> int:
    return min(request.number(name, PAGE_SIZE), MAX_PAGE_SIZE)


def _slice(request: Request, rows: list[Any]) -> tuple[list[Any], int, int, int]:
    """The rows of the page asked for, its number, its size, and the number of the last page."""
    page, size = request.number("page", 1), _size(request)
    return rows[(page - 1) * size : page * size], page, size, max(1, -(-len(rows) // size))


def _url(request: Request, **changes: Any) -> str:
    return f"{request.base_url}{request.path}?{urlencode({**request.params, **changes})}"


def _total(request: Request, resource: str, rows: list[Any]) -> Answer:
    part, page, size, _ = _slice(request, rows)
    return Answer.json({resource: part, "page": page, "per_page": size, "total": len(rows)})


def _header_total(request: Request, _resource: str, rows: list[Any]) -> Answer:
    return Answer.json(_slice(request, rows)[0], headers={"X-Total-Count": str(len(rows))})


def _link(request: Request, _resource: str, rows: list[Any]) -> Answer:
    part, page, size, last = _slice(request, rows)
    targets = {"first": 1, "last": last}
    if page > 1:
        targets["prev"] = page - 1
    if page < last:
        targets["next"] = page + 1
    links = [f'<{_url(request, page=number, per_page=size)}>; rel="{rel}"' for rel, number in targets.items()]
    return Answer.json(part, headers={"Link": ", ".join(links)})


def _links(request: Request, _resource: str, rows: list[Any]) -> Answer:
    part, page, size, last = _slice(request, rows)
    following = _url(request, page=page + 1, per_page=size) if page < last else None
    return Answer.json({"data": part, "links": {"self": _url(request), "next": following}})


def _cursor(request: Request, _resource: str, rows: list[Any]) -> Answer:
    start, size = request.number("cursor", 0), _size(request)
    end = start + size
    return Answer.json({"data": rows[start:end], "next_cursor": str(end) if end < len(rows) else None})


def _offset(request: Request, resource: str, rows: list[Any]) -> Answer:
    start, size = request.number("offset", 0), _size(request, "limit")
    return Answer.json({resource: rows[start : start + size], "offset": start, "limit": size, "total": len(rows)})


def _pages(request: Request, _resource: str, rows: list[Any]) -> Answer:
    return Answer.json(_slice(request, rows)[0])


def _array(_request: Request, _resource: str, rows: list[Any]) -> Answer:
    return Answer.json(rows)


STYLES: Mapping[str, Callable[[Request, str, list[Any]], Answer]] = {
    "total": _total,  # {"clients": [...], "page", "per_page", "total"}
    "header_total": _header_total,  # bare arrays, X-Total-Count
    "link": _link,  # bare arrays, Link header
    "links": _links,  # {"data": [...], "links": {"next"}}
    "cursor": _cursor,  # {"data": [...], "next_cursor"}
    "offset": _offset,  # {"clients": [...], "offset", "limit", "total"}
    "pages": _pages,  # bare arrays by page and per_page, nothing else said
    "array": _array,  # everything in one bare array, whatever is asked
}
