"""The connections of one read: requests are sent ahead, their answers are taken in any order, without threads.

An answer that nobody has taken yet waits in the kernel's buffer, so that many requests under way cost neither memory
of this process nor a thread each. `close()` may be called from any thread and ends a wait at once.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from syncapp.connectors.rest.config import ApiKey, Basic, Bearer, RestConfig
from syncapp.connectors.rest.connection import BodyTooLarge, Connection, NotUnpacked
from syncapp.connectors.rest.links import redirect_target
from syncapp.connectors.rest.messages import Headers, Messages
from syncapp.errors import ConnectionFailed, RateLimited, SyncError
from syncapp.ports import Clock, RateLimit

CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUTS = 4  # an answer that drips in may take so many timeouts in all
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes
    target: str


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way. `error` is what prevented it from being sent; it comes up when the answer is taken."""

    target: str
    connection: Connection | None = None
    reused: bool = False
    error: OSError | None = None
    redirects: int = 0


@lru_cache(maxsize=8)
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """Reading the certificates takes long, so it is done once."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Wire:
    def __init__(self, config: RestConfig, rate_limit: RateLimit | None, clock: Clock) -> None:
        self.config = config
        self.messages = Messages(config)
        if config.pace is not None and rate_limit is None:
            raise ValueError("a source with a pace needs a rate limit")
        self._rate_limit = rate_limit
        self._clock = clock
        self._parts = urlsplit(config.base_url)
        self._limit_key = config.limit_key
        self._header = make_header(config)
        self._idle: list[Connection] = []
        self._under_way: set[Exchange] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.repeats = 0  # requests that had to be sent again because something failed

    def send(self, target: str, redirects: int = 0) -> Exchange:
        """Sends a request. Raises RateLimited where the shared limit allows none; other failures wait for `receive`."""
        exchange = Exchange(target, redirects=redirects)
        try:
            self._start(exchange)
        except OSError as error:
            exchange.error = error
            self.drop(exchange)
        except RateLimited:  # nothing was sent: the connection is as good as before
            self._release(exchange)
            raise
        except SyncError:
            self.drop(exchange)
            raise
        return exchange

    def receive(self, exchange: Exchange) -> Answer:
        """The answer, after as many attempts and redirects as are allowed. Raises what the answer means."""
        failures = 0
        while True:
            try:
                answer = self._answer(exchange)
                if answer.status in REDIRECTS:
                    exchange = self._follow(exchange, answer)
                    continue
                refusal = self.messages.status(answer.status, answer.headers, self._clock())
                if refusal is None:
                    return answer
            except OSError as error:
                again = exchange.reused and isinstance(error, ConnectionError)
                self.drop(exchange)
                refusal = self._meaning(error)
                if again:  # an idle connection that the server had closed meanwhile: nothing failed
                    exchange = self.send(exchange.target, exchange.redirects)
                    continue
            self._back_off(refusal, failures)
            failures += 1
            exchange = self.send(exchange.target, exchange.redirects)

    def close(self) -> None:
        """Ends every connection and every wait. Safe from any thread, more than once."""
        self._stopped.set()
        with self._lock:
            for exchange in self._under_way:
                if exchange.connection is not None:
                    exchange.connection.shut()
        self._close_idle()

    def _close_idle(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _start(self, exchange: Exchange) -> None:
        self._check_stopped()
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None and not connection.is_alive():
            connection.close()
            connection = None
        exchange.reused = connection is not None
        connection = exchange.connection = connection or self._new_connection()
        if not exchange.reused:
            connection.connect(min(self.config.timeout, CONNECT_TIMEOUT), self.config.timeout)
        self._await_permission()
        with self._lock:
            self._under_way.add(exchange)
        self._check_stopped()
        connection.send(self._signed(exchange.target), self._header)

    def _await_permission(self) -> None:
        """The last thing before a request goes out, for what is held up afterwards would come out in a heap."""
        if self._rate_limit is not None and self.config.pace is not None:
            self._rate_limit.acquire(self._limit_key, self.config.pace, self._pause)

    def _answer(self, exchange: Exchange) -> Answer:
        if exchange.error is not None:
            raise exchange.error
        assert exchange.connection is not None  # noqa: S101  (for mypy: sent without an error)
        try:
            received = exchange.connection.receive(self.config.max_body_bytes, ANSWER_TIMEOUTS * self.config.timeout)
        except BodyTooLarge:
            self.drop(exchange)
            raise self._too_large() from None
        self._release(exchange)
        return Answer(*received, exchange.target)

    def _follow(self, exchange: Exchange, answer: Answer) -> Exchange:
        if exchange.redirects >= MAX_REDIRECTS:
            raise self.messages.rejected("REDIRECT_REFUSED", f"{self.config.path} redirects without end")
        target = redirect_target(self.config, self.messages, exchange.target, answer.headers.get("Location"))
        return self.send(target, exchange.redirects + 1)

    def _meaning(self, error: OSError) -> SyncError:
        self._check_stopped()
        if isinstance(error, NotUnpacked):
            return self.messages.invalid("NOT_JSON", f"{self.config.path} sent a body that cannot be unpacked")
        return self.messages.network(error)

    def _back_off(self, refusal: SyncError, failures: int) -> None:
        """Waits before the next attempt. Raises `refusal` where there is none."""
        waiting_helps = isinstance(refusal, ConnectionFailed) and refusal.retry_after is None
        certain = refusal.error_code == self.messages.code("TLS_FAILED")
        if not waiting_helps or certain or failures >= self.config.retries:
            raise refusal
        self.repeats += 1
        if refusal.error_code == self.messages.code("TIMEOUT"):
            self._end_others()
        pause = min(self.config.backoff_max, self.config.backoff * 2**failures)
        self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)
        self._check_stopped()

    def _end_others(self) -> None:
        """Gives up every other connection: an API that serves one at a time may be waiting for them to end.

        What was under way on them is sent again when its turn comes.
        """
        self._close_idle()
        for exchange in list(self._under_way):
            self.drop(exchange)
            exchange.error, exchange.reused = ConnectionResetError(), True

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise self.stopped()

    def stopped(self) -> ConnectionFailed:
        return self.messages.failed("READ_STOPPED", "reading was stopped")

    def _too_large(self) -> SyncError:
        bound = f"{self.config.max_body_bytes:,} bytes"
        return self.messages.invalid("BODY_TOO_LARGE", f"{self.config.path} sent a body of more than {bound}")

    def _release(self, exchange: Exchange) -> None:
        connection = exchange.connection
        with self._lock:
            self._under_way.discard(exchange)
            if connection is not None and connection.reusable and not self._stopped.is_set():
                self._idle.append(connection)
                return
        if connection is not None:
            connection.close()

    def drop(self, exchange: Exchange) -> None:
        """Ends a request whose answer failed, or is not wanted any more."""
        with self._lock:
            self._under_way.discard(exchange)
        if exchange.connection is not None:
            exchange.connection.close()

    def _new_connection(self) -> Connection:
        secure = self._parts.scheme == "https"
        port = self._parts.port or (443 if secure else 80)
        return Connection(str(self._parts.hostname), port, _tls(self.config.ca_file) if secure else None)

    def _signed(self, target: str) -> str:
        """The target with the key that belongs into the query; such a key never stands in a position or a message."""
        auth = self.config.auth
        if isinstance(auth, ApiKey) and auth.place == "query":
            mark = "&" if "?" in target else "?"
            return f"{target}{mark}{quote(auth.name, safe='')}={quote(auth.value.strip(), safe='')}"
        return target


def make_header(config: RestConfig) -> bytes:
    """All behind the first line of every request. Raises ValueError where a value would break out of its line."""
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
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header holds a line break")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _host(base_url: str) -> str:
    parts = urlsplit(base_url)
    host = str(parts.hostname)
    with contextlib.suppress(UnicodeError):  # which connecting says better
        host = host.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"
