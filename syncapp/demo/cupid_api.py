"""A stand-in for Cupid's content API: properties by id, their reviews, and both in other languages."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import orjson
from xxhash import xxh3_128_hexdigest

from syncapp.demo.cupid_languages import LANGUAGES, translate
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.faults import Records
from syncapp.demo.server import utc_now
from syncapp.ports import Clock

PATH = re.compile(
    r"/v3\.0/property/(?:reviews/(?P<reviewed>\d{1,18})/(?P<count>\d{1,18})"
    r"|(?P<id>\d{1,18})(?:/lang/(?P<language>[\w-]+))?)",
    re.ASCII,
)
WRAPPED = {"es"}  # languages in which the property is the `data` of an object
NOT_FOUND = Answer.json({"error": "not found"}, 404)


@dataclass(frozen=True, slots=True)
class _Version:
    """What a path answered when it was last asked, and since when it may be so, in whole seconds."""

    digest: str
    modified: datetime


class CupidApi:
    """Answers from `records`, whatever has been done to them: properties are encoded anew for each request.

    records  `properties`, and `reviews`: for each property {hotel_id, reviews}, in any order
    api_key  what `x-api-key` must say; None asks for none
    etags    whether answers say how to ask for them conditionally, and such requests get 304
    """

    def __init__(
        self, records: Records, *, api_key: str | None = None, etags: bool = True, clock: Clock = utc_now
    ) -> None:
        self.records = records
        self.api_key = api_key
        self.etags = etags
        self._began = clock().replace(microsecond=0)
        self._versions: dict[str, _Version] = {}
        self._translated: dict[str, tuple[str, bytes]] = {}

    def __call__(self, request: Request) -> Answer:
        sent = request.headers.get("x-api-key", "")
        if self.api_key is not None and not hmac.compare_digest(sent.encode(), self.api_key.encode()):
            return Answer.json({"error": "invalid API key"}, 401)
        parts = PATH.fullmatch(request.path)
        if parts is None:
            return NOT_FOUND
        if request.method != "GET":
            return Answer.json({"error": "method not allowed"}, 405, {"Allow": "GET"})
        body = self._body(request.path, parts)
        if body is None:
            return NOT_FOUND
        return self._answer(request, body) if self.etags else Answer(body)

    def _body(self, path: str, parts: re.Match[str]) -> bytes | None:
        """None where there is no such thing."""
        found = self._find("properties", int(parts["id"] or parts["reviewed"]))
        if found is None or parts["language"] not in {None, *LANGUAGES}:
            return None
        if parts["reviewed"]:
            return orjson.dumps(self._newest(int(parts["reviewed"]))[: int(parts["count"])])
        body = orjson.dumps(found)
        return self._translate(path, found, body, parts["language"]) if parts["language"] else body

    def _newest(self, hotel_id: int) -> list[Any]:
        """Its reviews, the newest first; what has no date, last."""
        kept = self._find("reviews", hotel_id) or {"reviews": []}
        return sorted(
            kept["reviews"], key=lambda row: str(row.get("date")) if isinstance(row, dict) else "", reverse=True
        )

    def _find(self, resource: str, hotel_id: int) -> dict[str, Any] | None:
        rows = self.records.get(resource, ())
        return next((row for row in rows if isinstance(row, dict) and row.get("hotel_id") == hotel_id), None)

    def _translate(self, path: str, found: dict[str, Any], original: bytes, language: str) -> bytes:
        """Translated again only where the original has changed."""
        digest = xxh3_128_hexdigest(original)
        known = self._translated.get(path)
        if known is None or known[0] != digest:
            translated = translate(found, language)
            body = orjson.dumps({"data": translated} if language in WRAPPED else translated)
            known = self._translated[path] = (digest, body)
        return known[1]

    def _answer(self, request: Request, body: bytes) -> Answer:
        version = self._version(request, xxh3_128_hexdigest(body))
        headers = {
            "ETag": f'"{version.digest}"',
            "Last-Modified": format_datetime(version.modified, usegmt=True),
        }
        return Answer(status=304, headers=headers) if is_known(version, request.headers) else Answer(body, 200, headers)

    def _version(self, request: Request, digest: str) -> _Version:
        """Each change has a second of its own, so that a client that knows the time alone misses none."""
        known = self._versions.get(request.path)
        if known is None:
            known = self._versions[request.path] = _Version(digest, self._began)
        elif known.digest != digest:
            modified = max(request.at.replace(microsecond=0), known.modified + timedelta(seconds=1))
            known = self._versions[request.path] = _Version(digest, modified)
        return known


def is_known(version: _Version, headers: Mapping[str, str]) -> bool:
    """Whether the client has this version (RFC 9110): where it names ETags, its time is not looked at."""
    tags = headers.get("if-none-match")
    if tags is not None:
        wanted = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return not wanted.isdisjoint({"*", f'"{version.digest}"'})
    try:
        return version.modified <= parsedate_to_datetime(headers.get("if-modified-since", ""))
    except (ValueError, TypeError):  # no such header, no time, or one without a zone
        return False
