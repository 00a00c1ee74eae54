"""What the tests of the stand-in for Cupid share: a client that sends the key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import orjson
import urllib3

from syncapp.demo.cupid import API_KEY, cupid_server
from syncapp.demo.server import DemoServer

LANGUAGES = ("fr", "es")


class Client:
    """Calls one server with the key, unless told otherwise."""

    def __init__(self, upstream: DemoServer, pool: urllib3.PoolManager) -> None:
        self.upstream, self.pool = upstream, pool

    def call(self, path: str, method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
        """`path` begins after /v3.0/; `if_none_match="..."` is a header; `x_api_key=""` sends none."""
        named = {name.replace("_", "-"): value for name, value in ({"x_api_key": API_KEY} | headers).items() if value}
        return self.pool.request(method, f"{self.upstream.url}/v3.0/{path}", headers=named)

    def get(self, path: str) -> Any:
        answer = self.call(path)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def property(self, hotel_id: int) -> dict[str, Any]:
        """As the server holds it: what a test changes here is served from then on."""
        return next(row for row in self.upstream.records["properties"] if row["hotel_id"] == hotel_id)

    def reviews(self, hotel_id: int) -> list[dict[str, Any]]:
        """The same of its reviews."""
        return next(row["reviews"] for row in self.upstream.records["reviews"] if row["hotel_id"] == hotel_id)

    def etags(self, *ids: int) -> dict[str, str]:
        """Of everything that is served of these properties, by path."""
        parts = ("property/{}", "property/reviews/{}/1000", *(f"property/{{}}/lang/{name}" for name in LANGUAGES))
        paths = [part.format(id) for id in ids for part in parts]
        return {path: self.call(path).headers["ETag"] for path in paths}


@contextlib.contextmanager
def cupid(properties: int = 3, **settings: Any) -> Iterator[Client]:
    """A server of the first so many properties; `settings` are those of `cupid_server`."""
    with cupid_server(properties, **settings) as upstream, urllib3.PoolManager(retries=False, timeout=10) as pool:
        yield Client(upstream, pool)
