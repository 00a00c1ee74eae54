"""One HTTP/1.1 connection: a request is sent now, its answer is taken later.

The parser is httptools' (llhttp, as in Node.js): it takes a tenth of the time that http.client needs for an answer.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

READ_BYTES = 256 * 1024
MAX_HEAD = 256 * 1024
GZIP, GZIP_BEGINS = 31, b"\x1f"  # zlib's word for it
BODYLESS = frozenset({204, 304})
NOT_IN_A_TARGET = re.compile(r"[^!-~]")
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Unreachable(OSError):
    """No connection. The reason is the cause."""


class NoAnswer(ConnectionError):
    """The connection was closed before a byte of the answer came."""


class AnswerCut(OSError):
    """The connection was closed in the middle of the answer."""


class NotHttp(OSError):
    """What answered does not speak HTTP."""


class NotUnpacked(OSError):
    """A body that is not packed as its header says."""


class BodyTooLarge(Exception):
    """More than was allowed, unpacked."""


class Fields(Mapping[str, str]):
    """The header: names know no case, and what comes several times is joined by commas."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def add(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        known = self._values.get(key)
        self._values[key] = text if known is None else f"{known}, {text}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Received(NamedTuple):
    status: int
    headers: Fields
    body: bytes


class Connection:
    """`socket` is None until `connect`, `reusable` is False once an answer was the last one."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self.socket: socket.socket | None = None
        self.reusable = True

    def connect(self, within: float, timeout: float) -> None:
        """Within so many seconds; from then on `timeout` is how long a silence may last.

        Raises Unreachable, TimeoutError, socket.gaierror, ssl.SSLError.
        """
        try:
            plain = socket.create_connection((self._host, self._port), within)
        except (socket.gaierror, TimeoutError):
            raise
        except UnicodeError:
            raise socket.gaierror(f"{self._host[:80]} is no host name") from None
        except OSError as error:
            raise Unreachable from error
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = plain
        if self._tls is not None:
            self.socket = self._tls.wrap_socket(plain, server_hostname=self._host)
        self.socket.settimeout(timeout)

    def is_alive(self) -> bool:
        """Whether an idle connection is still there: whatever can be read on it is a farewell."""
        if self.socket is None:
            return False
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def send(self, target: str, header: bytes) -> None:
        """Asks for a path with its query. `header` are the lines behind the first one. Raises OSError."""
        assert self.socket is not None  # noqa: S101  (for mypy: sent after `connect`)
        if NOT_IN_A_TARGET.search(target):
            target = quote(target, safe=PRINTABLE)
        self.socket.sendall(b"GET %b HTTP/1.1\r\n%b\r\n" % (target.encode(), header))

    def receive(self, limit: int, seconds: float) -> Received:
        """The answer, of at most `limit` bytes, all of it within so many seconds.

        Raises TimeoutError, NoAnswer, AnswerCut, NotHttp, NotUnpacked, BodyTooLarge, and what a socket raises.
        """
        assert self.socket is not None  # noqa: S101
        deadline = time.monotonic() + seconds
        answer = _Answer(limit)
        while not answer.complete:
            data = self.socket.recv(READ_BYTES)
            if data:
                answer.feed(data)
            else:
                answer.end()
            if not answer.complete and time.monotonic() > deadline:
                raise TimeoutError
        self.reusable = answer.keeps_alive
        return answer.received()

    def shut(self) -> None:
        """Ends a wait of another thread on this connection."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # of TLS too, without its farewell

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()


class _Answer:
    """Takes an answer apart as it comes in. The parser calls the methods that begin with `on_`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parser = HttpResponseParser(self)
        # What a shared connection could be tricked with is harmless here, and no reason to refuse a page.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_data_after_close=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._unpacking: zlib._Decompress | None = None
        self._broken: Exception | None = None
        self._came = self._size = 0
        self._headed = False
        self._fields = Fields()
        self._chunks: list[bytes] = []
        self._status = 0
        self.keeps_alive = self.complete = False

    def received(self) -> Received:
        """The whole answer. Parser and answer know each other, and would wait for the garbage collector together."""
        del self._parser
        return Received(self._status, self._fields, b"".join(self._chunks))

    def feed(self, data: bytes) -> None:
        self._came += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self.complete:
                self._broken = self._broken or NotHttp()
            self.keeps_alive = False
        if not self._headed and self._came > MAX_HEAD:
            self._broken = NotHttp()
        if self._broken is not None:
            raise self._broken

    def end(self) -> None:
        """The other side has closed the connection, which is how a body without a length ends."""
        if not self._came:
            raise NoAnswer
        has_an_end = "Content-Length" in self._fields or "chunked" in self._fields.get("Transfer-Encoding", "").lower()
        if not self._headed or has_an_end:
            raise AnswerCut
        self.complete = True

    def on_message_begin(self) -> None:
        """Whatever follows an answer is none of ours: an exception ends the parsing, and the answer stands."""
        if self.complete:
            raise ValueError

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.add(name, value)

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._headed = self._status >= 200  # what comes before is a word in between
        self.keeps_alive = self._parser.should_keep_alive()
        length = self._fields.get("Content-Length", "")
        has_body = self._status not in BODYLESS  # a 304 may name the length that an answer would have
        if has_body and length.isdecimal() and int(length) > self._limit:
            self._broken = BodyTooLarge()
        if self._fields.get("Content-Encoding", "").lower() in {"gzip", "x-gzip"}:
            self._unpacking = zlib.decompressobj(GZIP)

    def on_body(self, data: bytes) -> None:
        if self._broken is None:
            self._keep(data) if self._unpacking is None else self._unpack(data)

    def on_message_complete(self) -> None:
        if self._headed:
            self.complete = True
        else:
            self._fields = Fields()

    def _keep(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self._broken = BodyTooLarge()

    def _unpack(self, data: bytes) -> None:
        """Several packed parts may follow each other, and padding them. Stops where the limit is passed."""
        while data and self._broken is None:
            assert self._unpacking is not None  # noqa: S101
            if self._unpacking.eof:
                if not data.startswith(GZIP_BEGINS):
                    return
                self._unpacking = zlib.decompressobj(GZIP)
            try:
                self._keep(self._unpacking.decompress(data, self._limit - self._size + 1))
            except zlib.error:
                self._broken = NotUnpacked()
            data = self._unpacking.unused_data or self._unpacking.unconsumed_tail
