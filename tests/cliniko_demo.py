"""What the tests of the stand-in for Cliniko share: a clock that stands, and a client with good headers."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from syncapp.demo.cliniko_api import ClinikoServer
from syncapp.demo.faults import Records

KEY = "a-key-of-au-au2"
NOW = datetime(2026, 6, 30, 12, 0, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Client:
    """Calls one server with good headers, unless told otherwise."""

    def __init__(self, upstream: ClinikoServer, pool: urllib3.PoolManager, clock: Clock) -> None:
        self.upstream, self.pool, self.clock = upstream, pool, clock

    def call(
        self, path: str, *q: str, method: str = "GET", key: str = KEY, headers: Any = None, **params: Any
    ) -> urllib3.BaseHTTPResponse:
        url = path if path.startswith("http") else f"{self.upstream.url}/v1/{path}"
        pairs = [("q[]", text) for text in q] + list(params.items())
        if pairs:
            url += "?" + urlencode(pairs)
        sent = {
            "Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
            "Accept": "application/json",
            "User-Agent": "syncapp tests (tests@example.com)",
        } | (headers or {})
        return self.pool.request(method, url, headers={name: value for name, value in sent.items() if value})

    def get(self, path: str, *q: str, **params: Any) -> Any:
        answer = self.call(path, *q, **params)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def ids(self, path: str, *q: str, key: str = KEY, **params: Any) -> list[str]:
        """Of every page."""
        name, found = path.split("/")[0], []
        page = self.get(path, *q, key=key, per_page=100, **params)
        while True:
            found += [row["id"] for row in page[name]]
            if "next" not in page["links"]:
                assert len(found) == page["total_entries"]
                return found
            page = self.get(page["links"]["next"], key=key)


@contextlib.contextmanager
def cliniko(accounts: Mapping[str, Records], **settings: Any) -> Iterator[Client]:
    """A server of these accounts whose time only moves when `client.clock` is told to."""
    clock = Clock()
    defaults: dict[str, Any] = {"clock": clock, "limit": 100_000}
    upstream = ClinikoServer(accounts, **defaults | settings)
    with upstream, urllib3.PoolManager(retries=False, timeout=10) as pool:
        yield Client(upstream, pool, clock)
