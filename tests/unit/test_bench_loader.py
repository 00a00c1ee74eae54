"""The benchmark's loader, against a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from benchmarks.loader import Loaded, LoadFailed, load, post


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    status = 202
    bodies: ClassVar[list[Any]] = []
    connections: ClassVar[set[Any]] = set()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append((self.path, self.headers["Authorization"], body))
        self.connections.add(self.client_address)
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{")
        self.wfile.write(b"}")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Handler.status = 202
    Handler.bodies.clear()
    Handler.connections.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/runs"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("requests", "connections"), [(50, 4), (3, 16), (0, 2)])
def test_every_request_is_sent_once_and_answered(url: str, requests: int, connections: int) -> None:
    loaded = load(url, [post(url, {"number": number}, "secret") for number in range(requests)], connections)
    assert sorted(body["number"] for _, _, body in Handler.bodies) == list(range(requests))
    assert len(loaded.latencies) == requests
    assert len(Handler.connections) == min(requests, connections)
    assert {(path, token) for path, token, _ in Handler.bodies} <= {("/runs", "Bearer secret")}


def test_an_answer_that_is_not_the_one_that_was_expected_ends_it(url: str) -> None:
    Handler.status = 500
    with pytest.raises(LoadFailed, match="500"):
        load(url, [post(url, {}, "secret")], 1)


def test_rate_and_percentiles() -> None:
    loaded = Loaded(2.0, [number / 1000 for number in range(1, 101)])
    assert loaded.rate == 50
    assert [loaded.percentile(share) for share in (0.5, 0.99, 1.0)] == [51.0, 100.0, 100.0]
