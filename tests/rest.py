"""What the tests of the REST source share: short configurations, and a server that answers with any bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from syncapp.connectors.rest import RestConfig, RestSource
from syncapp.demo.server import DemoServer
from syncapp.ports import ReadRequest
from syncapp.records import Page

KEY = "secret-key-of-the-upstream"
UNUSED = "postgresql+psycopg://"  # the address of a database that nobody asks


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": number, "name": f"Client {number}", "updated_at": "2026-01-01T00:00:00Z"}
        for number in range(1, count + 1)
    ]


def source(server: DemoServer | str, **config: Any) -> RestSource:
    """A source of /clients in pages of 10 that waits next to nothing between attempts."""
    url = server if isinstance(server, str) else server.url
    settings = {"resource": "clients", "page_size": 10, "timeout": 10.0, "retries": 2, "backoff": 0.001} | config
    return RestSource(RestConfig(url, **settings))


def read(server: DemoServer | str, *, since: str | None = None, position: Any = None, **config: Any) -> list[Page]:
    with contextlib.closing(source(server, **config).read(ReadRequest(since, position))) as pages:
        return list(pages)


def ids(pages: Iterable[Page]) -> list[Any]:
    return [record["id"] for page in pages for record in page.records]


def asked(server: DemoServer, name: str = "page") -> list[str | None]:
    """That parameter of every request so far."""
    return [request.params.get(name) for request in server.requests]


def read_head(connection: socket.socket) -> bytes:
    """One request without a body; empty where the caller has gone."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            return b""
        head += received
    return head


@contextlib.contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Calls `answer` for every connection in a thread of its own, then closes the connection; yields the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            answer(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)


def http_answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
