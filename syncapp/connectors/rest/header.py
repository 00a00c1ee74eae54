"""The lines behind the first one of a request."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from syncapp.connectors.rest.config import ApiKey, Basic, Bearer, RestConfig

CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
SENDABLE = re.compile(r"[!-~\x80-\xff][\t -~\x80-\xff]{0,999}")  # longer ones many servers refuse
Lines = tuple[tuple[str, str], ...]


def make_header(config: RestConfig) -> bytes:
    """What stands in every request. Raises ValueError where a value would break out of its line."""
    fields = {
        "Host": _host(config.base_url),
        "User-Agent": config.user_agent,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
    }
    given = {name.lower() for name, _ in config.headers}
    fields = {name: value for name, value in fields.items() if name.lower() not in given} | dict(config.headers)
    match config.auth:
        case Bearer(token=token, scheme=scheme):
            fields["Authorization"] = f"{scheme} {token.strip()}"
        case ApiKey(value=value, name=name, place="header"):
            fields[name] = value.strip()
        case Basic() as basic:
            fields["Authorization"] = f"Basic {basic.pair}"
    if any("\r" in part or "\n" in part for field in fields.items() for part in field):
        raise ValueError("a header holds a line break")
    return encode(fields.items())


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")


def sendable(fields: Iterable[tuple[str, str]]) -> Lines:
    """Those whose value fits into a line. One that came from an API may not: without its condition, all is read."""
    return tuple((name, value) for name, value in fields if SENDABLE.fullmatch(value))


def is_conditional(fields: Lines) -> bool:
    return any(name.lower() in CONDITIONS for name, _ in fields)


def _host(base_url: str) -> str:
    parts = urlsplit(base_url)
    host = str(parts.hostname)
    with contextlib.suppress(UnicodeError):  # which connecting says better
        host = host.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"
