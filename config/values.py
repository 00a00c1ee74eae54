"""The forms that settings take: durations, addresses, lists, what travels in a header."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

VALID_PORTS = range(1, 65_536)
PORTS = f" (a port is a number from {VALID_PORTS[0]} to {VALID_PORTS[-1]})"
SHARD = "{shard}"
SHORTEST_KEY = 8  # far too short to be a good one; shorter is a slip
DURATION = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds of `300`, `2h30m`, `24h` or `7d`. Raises ValueError."""
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    match = DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("must be seconds or a duration such as 2h30m, 24h or 7d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"must be an http:// or https:// address{PORTS}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must hold neither credentials nor a query")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    """Heroku writes postgres://, SQLAlchemy wants the driver named."""
    scheme, _, rest = value.partition("://")
    address = f"postgresql+psycopg://{rest}"
    try:
        fits = bool(rest) and _is_port(make_url(address).port)
    except (ValueError, ArgumentError):
        fits = False
    if not fits or scheme.split("+")[0] not in {"postgres", "postgresql"}:
        raise ValueError(f"must be a postgresql:// address{PORTS}")
    return address


def _redis_url(value: str) -> str:
    parts = _split(value)
    fits = parts is not None and re.fullmatch(r"/?\d*", parts.path)
    if not fits or not value.startswith(("redis://", "rediss://")):
        raise ValueError(f"must be a redis:// or rediss:// address such as redis://localhost:6379/0{PORTS}")
    return value


def _split(value: str) -> SplitResult | None:
    """None for what is no address. What urllib says of it may repeat a password."""
    try:
        parts = urlsplit(value)
        return parts if _is_port(parts.port) else None
    except ValueError:
        return None


def _is_port(port: int | None) -> bool:
    return port is None or port in VALID_PORTS


def _header_text(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII characters, for it is sent in a header")
    return SecretStr(text)


def _secret_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_KEY:
        raise ValueError(f"must be at least {SHORTEST_KEY} characters, random ones")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except Exception as error:
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from error
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be greater than 0")
    return value


def _sharded_url(value: str) -> str:
    """`{shard}` in the host stands for the region that a Cliniko key names."""
    _http_url(value.replace(SHARD, "au1"))
    return value.rstrip("/")


def _email(value: str) -> str:
    if not re.fullmatch(r"[!-'*-~]+@[A-Za-z0-9.-]+", value):
        raise ValueError("must be an e-mail address such as it@example.com")
    return value


def parse_property_ids(value: object) -> tuple[int, ...]:
    """Ids apart by commas, blanks or lines, each once, sorted. Raises ValueError that names a wrong one."""
    if isinstance(value, tuple):
        return value
    words = re.split(r"[\s,]+", str(value).strip(" ,\n\r\t"))
    wrong = [word for word in words if not re.fullmatch(r"[1-9]\d{0,17}", word, re.ASCII)]
    if wrong:
        raise ValueError(f"must be ids of properties, such as 1641879,317597, and {wrong[0][:40]!r} is none")
    return tuple(sorted({int(word) for word in words}))


def _languages(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, tuple) else tuple(filter(None, re.split(r"[\s,]+", str(value).lower())))
    if not all(re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", word, re.ASCII) for word in words):
        raise ValueError("must be codes of languages such as fr,es, or none")
    return tuple(dict.fromkeys(words))


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
ShardedUrl = Annotated[str, AfterValidator(_sharded_url)]
Email = Annotated[str, AfterValidator(_email)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Duration = Annotated[float, BeforeValidator(parse_duration), AfterValidator(_positive)]
SecretKey = Annotated[SecretStr, AfterValidator(_secret_key)]
HeaderText = Annotated[SecretStr, AfterValidator(_header_text)]
PropertyIds = Annotated[tuple[int, ...], NoDecode, BeforeValidator(parse_property_ids)]
Languages = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_languages)]
