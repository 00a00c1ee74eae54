"""A loader that cannot be the bottleneck: one thread, a few sockets, requests made beforehand."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

LINGER = 30.0  # seconds without any answer


class LoadFailed(Exception):
    """An answer was not the one that was expected, or none came."""


@dataclass
class Loaded:
    """How long all of it took, and each answer by itself, in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] * 1000


def post(url: str, body: object, token: str) -> bytes:
    """A whole request as it goes over the wire."""
    parts = urlsplit(url)
    content = orjson.dumps(body)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Connection:
    """A connection with at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=LINGER)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = 0.0
        self._received = b""

    def send(self, request: bytes) -> None:
        self._received = b""
        self._sent = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> float | None:
        """The seconds until the answer was whole, None while it is not. Raises LoadFailed where it is not a 202."""
        chunk = self.socket.recv(65_536)
        if not chunk:
            raise LoadFailed(f"the connection was closed after {self._received[:300]!r}")
        self._received += chunk
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return None
        if b" 202 " not in head[:16]:
            raise LoadFailed(f"{head[:100]!r} {body[:300]!r}")
        return time.perf_counter() - self._sent


def load(url: str, requests: Sequence[bytes], connections: int) -> Loaded:
    """Sends all requests, as many at once as there are connections. Raises LoadFailed."""
    parts = urlsplit(url)
    waiting = iter(requests)
    found = Loaded()
    with selectors.DefaultSelector() as selector, ExitStack() as opened:
        idle = [Connection((str(parts.hostname), parts.port or 80)) for _ in range(min(connections, len(requests)))]
        for connection in idle:
            opened.callback(connection.socket.close)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        began = time.perf_counter()
        for connection in idle:
            connection.send(next(waiting))
        while len(found.latencies) < len(requests):
            for connection in _ready(selector):
                seconds = connection.receive()
                if seconds is None:
                    continue
                found.latencies.append(seconds)
                request = next(waiting, None)
                if request is not None:
                    connection.send(request)
        found.seconds = time.perf_counter() - began
    return found


def _ready(selector: selectors.BaseSelector) -> list[Connection]:
    events = selector.select(LINGER)
    if not events:
        raise LoadFailed(f"no answer within {LINGER:g} s")
    return [key.data for key, _ in events]


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise LoadFailed(f"an answer without a length: {head[:200]!r}")
