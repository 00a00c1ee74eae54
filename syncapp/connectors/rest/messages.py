"""What is told about an API's failures: the right error, a code, and never a secret."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from syncapp.connectors.rest.config import RestConfig
from syncapp.connectors.rest.connection import NoAnswer, NotHttp, Unreachable
from syncapp.errors import ConnectionFailed, CredentialsRefused, InvalidData, RateLimited, RequestRejected, SyncError

SNIPPET = 80
LONGEST_PATH = 200
LONGEST_WAIT = 7 * 86_400.0
WAIT_WHERE_NONE_IS_NAMED = 60.0
EPOCH_BEGINS = 1_000_000_000  # a smaller number in a reset header counts seconds from now
MILLISECONDS_FROM = 100_000_000_000
RESETS = ("RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset")
REMAINING = ("RateLimit-Remaining", "X-RateLimit-Remaining", "X-Rate-Limit-Remaining")
RATE_LIMIT_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d+)")
Headers = Mapping[str, str]


def http_date(text: str | None) -> datetime | None:
    """A Date or Retry-After header as an aware time; None where it is none."""
    if not text:
        return None
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def retry_after(headers: Headers, now: datetime) -> float | None:
    """Seconds that the API asks to wait, 1 to 604,800; None where it names no time that can be read."""
    text = headers.get("Retry-After")
    seconds, date = _number(text), http_date(text)
    if seconds is None and date is not None:
        seconds = (date - now).total_seconds()
    return _bounded(seconds)


def limit_reset(headers: Headers, now: datetime) -> float | None:
    """Seconds until the API allows more requests, likewise. Some send this with every answer: it asks for nothing."""
    seconds = next((found for name in RESETS if (found := _number(headers.get(name))) is not None), None)
    if seconds is None and (match := RATE_LIMIT_RESET.search(headers.get("RateLimit") or "")):
        seconds = float(match[1])
    if seconds is not None and seconds >= EPOCH_BEGINS:
        seconds = (seconds / 1_000 if seconds >= MILLISECONDS_FROM else seconds) - now.timestamp()
    return _bounded(seconds)


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 1.0), LONGEST_WAIT)


def _number(text: str | None) -> float | None:
    text = (text or "").strip()
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII) else None


class Messages:
    """Makes the errors of one API: of the resource that was asked for, or of what stands at another path."""

    def __init__(self, config: RestConfig, path: str | None = None) -> None:
        self.config = config
        self.path = config.path if path is None else path

    def about(self, target: str) -> Messages:
        """Those of what stands at a target: they name its path and never its query."""
        return Messages(self.config, self.redact(target.partition("?")[0])[:LONGEST_PATH])

    def code(self, name: str) -> str:
        return f"{self.config.code_prefix}_{name}"

    def says_absent(self, error: object) -> bool:
        """Whether the API has said that there is no such thing."""
        return isinstance(error, RequestRejected) and error.error_code == self.code("NOT_FOUND")

    def redact(self, text: str) -> str:
        for secret in self.config.secrets:
            text = text.replace(secret, "***")
        return text

    def snippet(self, body: bytes | str) -> str:
        """The first 80 characters, of which nobody need be afraid."""
        text = body if isinstance(body, str) else body[:4096].decode("utf-8", "replace")
        text = " ".join(self.redact(text).split())
        return "".join(letter if letter.isprintable() else "." for letter in text[:SNIPPET])

    def invalid(self, code: str, message: str) -> InvalidData:
        return InvalidData(self.redact(f"{self.config.name}: {message}"), error_code=self.code(code))

    def rejected(self, code: str, message: str) -> RequestRejected:
        return RequestRejected(self.redact(f"{self.config.name}: {message}"), error_code=self.code(code))

    def failed(self, code: str, message: str, retry_after: float | None = None) -> ConnectionFailed:
        text = self.redact(f"Unable to read {self.path} of {self.config.name}: {message}")
        return ConnectionFailed(text, error_code=self.code(code), retry_after=retry_after)

    def network(self, error: OSError) -> ConnectionFailed:
        """What a failed connection means."""
        match error:
            case socket.gaierror():
                return self.failed("DNS_FAILED", "its host name cannot be resolved")
            case ssl.SSLError():
                return self.failed("TLS_FAILED", f"no secure connection ({_tls_reason(error)})")
            case Unreachable():
                return self.failed("UNREACHABLE", f"no connection ({_os_reason(error)})")
            case TimeoutError():
                return self.failed("TIMEOUT", f"no answer within {self.config.timeout:g} seconds")
            case NoAnswer():
                return self.failed("CONNECTION_CUT", "the connection was closed before an answer came")
            case NotHttp():
                return self.failed("NOT_HTTP", "what answered does not speak HTTP")
        return self.failed("CONNECTION_CUT", f"the connection was cut ({type(error).__name__})")

    def status(self, status: int, headers: Headers, now: datetime) -> SyncError | None:
        """What an answer's status means; None for a good one."""
        if 200 <= status < 300:
            return None
        where = f"{self.path} answered {status} {_phrase(status)}".rstrip()
        now = http_date(headers.get("Date")) or now  # the API's own clock, where it tells
        wait = retry_after(headers, now)
        used_up = any(headers.get(name) == "0" for name in REMAINING)
        if status == 429 or (status == 403 and (wait is not None or used_up)):
            message = f"{self.config.name} allows no more requests for now: {where}"
            return RateLimited(message, retry_after=wait or limit_reset(headers, now) or WAIT_WHERE_NONE_IS_NAMED)
        if status == 401:
            return CredentialsRefused(f"{self.config.name} refused the credentials: {where}")
        if status == 403:
            message = f"The credentials of {self.config.name} may not read {self.path}: it answered 403 Forbidden"
            return CredentialsRefused(message, error_code="PERMISSION_MISSING")
        if status in {408, 425}:
            return self.failed("TIMEOUT", where, retry_after=wait)
        if status >= 500:
            return self.failed("SERVER_ERROR", where, retry_after=wait)
        if status in {404, 410}:
            return self.rejected("NOT_FOUND", where)
        return self.rejected("REQUEST_REJECTED", where)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _tls_reason(error: ssl.SSLError) -> str:
    return str(getattr(error, "verify_message", "") or error.reason or type(error).__name__)


def _os_reason(error: BaseException) -> str:
    cause = error.__cause__
    return str(cause.strerror or type(cause).__name__) if isinstance(cause, OSError) else type(error).__name__
