"""A client of Server-Sent Events that says what it was sent, byte by byte."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

DEADLINE = 60.0  # seconds without a single byte, after which a test fails


@dataclass(frozen=True)
class Event:
    id: int
    kind: str
    data: dict[str, Any]


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream's lines, each as soon as it is whole; comments and `retry` are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif "data" in fields and line == b"\n":
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


class Stream:
    """One connection, its head read. `buffer` is how many bytes the kernel may take for it before they are read."""

    def __init__(self, port: int, path: str, *, buffer: int | None = None, **headers: str) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(DEADLINE)
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        asked = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n{asked}\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        head = iter(self.file.readline, b"\r\n")
        self.headers = dict(line.decode().rstrip("\r\n").split(": ", 1) for line in head)
        self.events = read_events(self.file)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        self.socket.close()

    def take(self, count: int) -> list[Event]:
        return list(islice(self.events, count))

    def vanish(self) -> None:
        """As a host that is gone: with a reset, and whatever was sent unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.__exit__(None, None, None)
