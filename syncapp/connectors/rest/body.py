"""What stands in an answer: its records, and what it says about the whole read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from syncapp.connectors.rest.config import RestConfig
from syncapp.connectors.rest.messages import Headers, Messages
from syncapp.connectors.rest.wire import Answer
from syncapp.records import Json

BOM = b"\xef\xbb\xbf"
HIGH, LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# What group 1 holds is well; a surrogate that is left over stands alone.
SURROGATES = re.compile(rf"(\\\\|{HIGH}{LOW})|{HIGH}|{LOW}")
CHARSET = re.compile(r"charset=\"?([\w.:-]+)", re.IGNORECASE)
KEYS_SHOWN = 8

# where an envelope tells about the whole read, and under which names
PLACES = ("meta", "meta.pagination", "pagination", "paging")
TOTALS = ("total", "total_count", "total_entries", "totalCount")
SPRING_TOTAL = ("page.totalElements",)
TOTAL_HEADERS = ("X-Total", "X-Total-Count", "Total", "Total-Count")
LAST_PAGES = ("total_pages", "last_page", "totalPages", "page_count")
LAST_PAGE_HEADERS = ("X-Total-Pages", "Total-Pages")
SIZES = ("per_page", "page_size", "limit", "perPage")
SIZE_HEADERS = ("X-Per-Page", "Per-Page")
MORE = ("has_more", "hasMore", "has_next", "has_next_page")


class Content(NamedTuple):
    """An answer that was understood. `size` is the page size that the API says it uses."""

    records: list[Json]
    body: dict[str, Json]  # the envelope; empty where the body is an array
    headers: Headers
    target: str
    total: int | None = None
    last_page: int | None = None
    size: int | None = None
    more: bool | None = None


def understand(config: RestConfig, messages: Messages, answer: Answer) -> Content:
    """Raises InvalidData that says what came instead."""
    if answer.status == 204:
        return Content([], {}, answer.headers, answer.target, total=0)
    body = parse(messages, answer)
    records = _records(config, messages, body)
    envelope = body if isinstance(body, dict) else {}
    places = [envelope, *(found for place in PLACES if isinstance(found := find(envelope, (place,)), dict))]
    total, more = _told(places, TOTALS), _told(places, MORE)
    if total is None:
        total = find(envelope, SPRING_TOTAL)  # the other names below `page` are of this page alone
    return Content(
        records,
        envelope,
        answer.headers,
        answer.target,
        total=_number(total, answer.headers, TOTAL_HEADERS),
        last_page=_number(_told(places, LAST_PAGES), answer.headers, LAST_PAGE_HEADERS),
        size=_number(_told(places, SIZES), answer.headers, SIZE_HEADERS),
        more=more if isinstance(more, bool) else None,
    )


def parse(messages: Messages, answer: Answer) -> Json:
    body = answer.body.removeprefix(BOM)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return _parse_leniently(body, answer.headers.get("Content-Type") or "")
    except (ValueError, LookupError, RecursionError):
        raise _no_json(messages, answer) from None


def _parse_leniently(body: bytes, content_type: str) -> Json:
    """Another charset, NaN, or half a surrogate pair in one record must not cost the whole page."""
    charset = CHARSET.search(content_type)
    text = body.decode(charset[1] if charset else "utf-8")
    return json.loads(SURROGATES.sub(lambda match: match[1] or r"\ufffd", text))


def _no_json(messages: Messages, answer: Answer) -> Exception:
    path, body = messages.about(answer.target).path, answer.body.strip()
    kind = (answer.headers.get("Content-Type") or "").partition(";")[0].strip()
    kind = messages.snippet(kind) or "a body without a content type"
    if not body:
        return messages.invalid("NOT_JSON", f"{path} answered with an empty body")
    if body[:1] in b"[{" and body[-1:] not in b"]}":
        return messages.invalid("TRUNCATED_JSON", f"{path} sent JSON that ends in the middle: {messages.snippet(body)}")
    return messages.invalid("NOT_JSON", f"{path} sent {kind} that is not JSON: {messages.snippet(body)}")


def _records(config: RestConfig, messages: Messages, body: Json) -> list[Json]:
    if isinstance(body, list):
        return body
    names = (config.selector,) if config.selector else (config.resource_name, "data")
    if isinstance(body, dict):
        for name in names:
            found = find(body, (name,))
            if isinstance(found, list):
                return found
        held = "an object with " + (", ".join(list(body)[:KEYS_SHOWN]) or "nothing in it")
    else:
        held = type(body).__name__
    wanted = " or ".join(f'"{name}"' for name in names)
    text = f"{config.path} sent {messages.snippet(held)} where a list under {wanted} was expected"
    raise messages.invalid("WRONG_ENVELOPE", text)


def find(body: Any, paths: Iterable[str]) -> Json:
    """The value at the first of the dotted paths that leads to something; None where none does."""
    for path in paths:
        value = body
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _told(places: list[dict[str, Json]], names: tuple[str, ...]) -> Json:
    return next((value for place in places for name in names if (value := place.get(name)) is not None), None)


def _number(value: Json, headers: Headers, names: Iterable[str]) -> int | None:
    if value is None:
        value = next((text for name in names if (text := headers.get(name)) is not None), None)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
