"""The core of the demo upstreams and of the upstreams in tests: a real HTTP server that can be told to misbehave."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from syncapp.demo.control import control
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.faults import Fault, Faults, Records, spoil
from syncapp.demo.listing import Listing
from syncapp.ports import Clock

App = Callable[[Request], Answer]
LOG_LENGTH = 10_000
MAX_BODY = 64 * 1024 * 1024


def utc_now() -> datetime:
    return datetime.now(UTC)


class DemoServer:
    """An upstream, in this process. Use it as a context manager.

    records   what it serves, by resource; change it under `lock` where requests may be under way
    faults    what goes wrong; see `syncapp.demo.faults.Fault`
    requests  every request so far but those that steer the server, the latest 10,000
    app       answers requests; a `Listing` of `records` in `style` unless another is given
    key       the field of a record by which the control routes find it

    >>> with DemoServer({"clients": [{"id": 1}]}, api_key="key") as upstream:
    ...     upstream.faults.add(Fault("status", path="/clients", page=2, status=500, times=1))
    """

    def __init__(
        self,
        records: Mapping[str, list[Any]] | None = None,
        *,
        style: str = "total",
        api_key: str | None = None,
        app: App | None = None,
        key: str = "id",
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.records: Records = dict(records or {})
        self.faults = Faults()
        self.requests: deque[Request] = deque(maxlen=LOG_LENGTH)
        self.lock = threading.RLock()
        self.stopped = threading.Event()
        self.clock = clock
        self.key = key
        self.app = app or Listing(self.records, style=style, api_key=api_key)
        self.scheme = "https" if tls else "http"
        self._server = _Server((host, port), self, tls)
        self._thread: threading.Thread | None = None
        bound = self._server.server_address
        self.host, self.port = str(bound[0]), int(bound[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def __enter__(self) -> DemoServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="demo", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends every connection and waits for the server's own thread."""
        self.stopped.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.close_connections()
        self._server.server_close()

    def fail(self, kind: str, **details: Any) -> Fault:
        """Switches a fault on; short for `faults.add(Fault(kind, ...))`."""
        return self.faults.add(Fault(kind, **details))

    def answer(self, request: Request) -> Answer:
        steered = control(self, request)
        if steered is not None:
            return steered
        self.requests.append(request)
        fault = self.faults.take(request)
        with self.lock:
            return spoil(fault, request, self.app, self.records) if fault else self.app(request)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: DemoServer, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        """With TLS the handshake happens in the connection's own thread, so that a bad one holds nobody up."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that goes away in mid-request is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ValueError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """The log of the requests is `DemoServer.requests`."""

    def _serve(self) -> None:
        owner = cast(_Server, self.server).owner
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            return self._send(Answer.json({"error": "too large"}, 413))
        parts = urlsplit(self.path)
        request = Request(
            at=owner.clock(),
            method=self.command,
            path=parts.path,
            params=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
            query=parts.query,
            client=str(self.client_address[0]),
            base_url=f"{owner.scheme}://{self.headers.get('Host') or f'{owner.host}:{owner.port}'}",
        )
        answer = owner.answer(request)
        if answer.hang:
            answer = replace(answer, delay=float("inf"))
        if answer.delay and self._wait(owner, answer.delay):
            return None
        return self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _wait(self, owner: DemoServer, seconds: float) -> bool:
        """Waits without an answer; True where the server ended meanwhile."""
        timeout = None if seconds == float("inf") else seconds
        ended = owner.stopped.wait(timeout)
        self.close_connection = self.close_connection or ended
        return ended

    def _send(self, answer: Answer) -> None:
        if answer.cut_after is not None and answer.cut_after < 0:
            self.close_connection = True
            return
        headers = {"Server": "demo", "Date": self.date_time_string()}
        if answer.status not in {204, 304}:
            headers |= {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
        self.send_response_only(answer.status)
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.cut_after is not None:
            self.wfile.write(answer.body[: answer.cut_after])
            self.close_connection = True
        elif answer.drip:
            self._drip(answer)
        else:
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _drip(self, answer: Answer) -> None:
        owner = cast(_Server, self.server).owner
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self._wait(owner, answer.drip):
                return
