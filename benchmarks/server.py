"""A page server on loopback that cannot be the bottleneck: every answer is made before the first request.

    GET /<data set>/<any name>?page=1&per_page=100            at once
    GET /slow/<data set>/<any name>?page=1&per_page=100       after the latency

A thread a connection, plain sockets, keep-alive. It prints one JSON line when it listens and ends when its standard
input does.
"""

from __future__ import annotations

import argparse
import gc
import socket
import sys
import threading
import time
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import orjson

from benchmarks.records import make_data_sets

HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nDate: %b\r\n\r\n"
NOT_FOUND = b'{"error":"there is no such page"}'
MAX_REQUEST = 65_536


class Found(NamedTuple):
    """What a target asks for: the answer's status and body, and how long it takes."""

    status: bytes
    body: bytes
    seconds: float


class Pages:
    """All answers, by data set and page size."""

    def __init__(self, count: int, seed: int, page_sizes: list[int], latency: float) -> None:
        self.latency = latency
        sets = make_data_sets(count, seed)
        self.expected = {name: data_set.expected._asdict() for name, data_set in sets.items()}
        self._bodies = {
            (name, size): list(data_set.bodies(size)) for name, data_set in sets.items() for size in page_sizes
        }
        self._empty = orjson.dumps({"data": [], "total": count})
        self._found: dict[bytes, Found] = {}

    def find(self, target: bytes) -> Found:
        found = self._found.get(target)
        if found is None:
            found = self._found[target] = self._read(target.decode("latin-1"))
        return found

    def _read(self, target: str) -> Found:
        parts = urlsplit(target)
        path = parts.path.strip("/").split("/")
        seconds = self.latency if path[0] == "slow" else 0.0
        query = parse_qs(parts.query)
        try:
            data_set = path[-2]
            number, size = int(query.get("page", ["1"])[0]), int(query.get("per_page", ["100"])[0])
            bodies = self._bodies[data_set, size]
        except (ValueError, KeyError, IndexError):
            return Found(b"404 Not Found", NOT_FOUND, seconds)
        if number < 1:
            return Found(b"404 Not Found", NOT_FOUND, seconds)
        return Found(b"200 OK", bodies[number - 1] if number <= len(bodies) else self._empty, seconds)


class PageServer:
    """Serves until `close`. `url` is its address."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._date = (0, b"")

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answer_all, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer_all(self, connection: socket.socket) -> None:
        rest = b""
        with connection:
            while True:
                while b"\r\n\r\n" not in rest:
                    try:
                        received = connection.recv(MAX_REQUEST)
                    except OSError:
                        return
                    if not received or len(rest) > MAX_REQUEST:
                        return
                    rest += received
                request, _, rest = rest.partition(b"\r\n\r\n")
                found = self._pages.find(request.split(b" ", 2)[1])
                if found.seconds:
                    time.sleep(found.seconds)
                try:
                    connection.sendall(HEAD % (found.status, len(found.body), self._today()) + found.body)
                except OSError:
                    return

    def _today(self) -> bytes:
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]


def start_server(count: int, seed: int, page_sizes: list[int], latency: float) -> tuple[PageServer, dict[str, Any]]:
    """A server that serves in a thread of this process, and what it says of itself."""
    pages = Pages(count, seed, page_sizes, latency)
    server = PageServer(pages)
    threading.Thread(target=server.serve, name="accept", daemon=True).start()
    return server, {"url": server.url, "expected": pages.expected}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page-sizes", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--latency", type=float, default=0.020, help="seconds before an answer below /slow")
    asked = parser.parse_args()
    server, facts = start_server(asked.records, asked.seed, asked.page_sizes, asked.latency)
    gc.freeze()
    sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main()
