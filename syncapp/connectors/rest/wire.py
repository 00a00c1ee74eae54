"""The connections of one read: requests are sent ahead, their answers are taken in any order, without threads.

An answer that nobody has taken yet waits in the kernel's buffer, so that many requests under way cost neither memory
of this process nor a thread each. `close()` may be called from any thread and ends a wait at once.
"""

from __future__ import annotations

import random
import ssl
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from syncapp.connectors.rest.config import ApiKey, RestConfig
from syncapp.connectors.rest.connection import BodyTooLarge, Connection, NotUnpacked
from syncapp.connectors.rest.header import Lines, encode, is_conditional, make_header, sendable
from syncapp.connectors.rest.links import redirect_target
from syncapp.connectors.rest.messages import Headers, Messages
from syncapp.errors import ConnectionFailed, RateLimited, SyncError
from syncapp.ports import Clock, Pace, RateLimit

CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUTS = 4  # an answer that drips in may take so many timeouts in all
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
NOT_MODIFIED = 304


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes
    target: str


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way. `error` is what prevented it from being sent; it comes up when the answer is taken.

    `headers` are the lines of its own that go along, also when it is repeated or redirected.
    """

    target: str
    headers: Lines = ()
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
    """Raises ValueError where nobody would keep the pace."""

    def __init__(self, config: RestConfig, rate_limit: RateLimit | None, clock: Clock) -> None:
        self.config = config
        self.messages = Messages(config)
        self._rate_limit = rate_limit
        self._check(config.pace)
        self._clock = clock
        self._parts = urlsplit(config.base_url)
        self._limit_key = config.limit_key
        self._header = make_header(config)
        self._idle: list[Connection] = []
        self._under_way: set[Exchange] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.repeats = 0  # requests that had to be sent again because something failed

    def tune(self, *, retries: int | None = None, pace: Pace | None = None) -> None:
        """Other settings for what is sent from now on; None leaves one as it is. Raises ValueError as the Wire does."""
        self._check(pace)
        retries = self.config.retries if retries is None else retries
        self.config = replace(self.config, retries=retries, pace=pace or self.config.pace)

    def send(self, target: str, redirects: int = 0, headers: Lines = ()) -> Exchange:
        """Sends a request. Raises RateLimited where the shared limit allows none; other failures wait for `receive`.

        `headers` are further lines of this request: `If-None-Match`, or `If-Modified-Since`. A value that cannot stand
        in one is left out.
        """
        exchange = Exchange(target, sendable(headers), redirects=redirects)
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
        """The answer, after as many attempts and redirects as are allowed. Raises what the answer means.

        304, without a body, is an answer to a request that was conditional, and to no other.
        """
        failures = 0
        while True:
            try:
                answer = self._answer(exchange)
                if answer.status in REDIRECTS:
                    exchange = self._follow(exchange, answer)
                    continue
                unchanged = answer.status == NOT_MODIFIED and is_conditional(exchange.headers)
                refusal = self._about(exchange).status(answer.status, answer.headers, self._clock())
                if unchanged or refusal is None:
                    return answer
            except OSError as error:
                again = exchange.reused and isinstance(error, ConnectionError)
                self.drop(exchange)
                refusal = self._meaning(exchange, error)
                if again:  # an idle connection that the server had closed meanwhile: nothing failed
                    exchange = self.send(exchange.target, exchange.redirects, exchange.headers)
                    continue
            self._back_off(refusal, failures)
            failures += 1
            exchange = self.send(exchange.target, exchange.redirects, exchange.headers)

    def close(self) -> None:
        """Ends every connection and every wait. Safe from any thread, more than once."""
        self._stopped.set()
        with self._lock:
            for exchange in self._under_way:
                if exchange.connection is not None:
                    exchange.connection.shut()
        self._close_idle()

    def _check(self, pace: Pace | None) -> None:
        if pace is not None and self._rate_limit is None:
            raise ValueError("a source with a pace needs a rate limit")

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
        connection.send(self._signed(exchange.target), self._header + encode(exchange.headers))

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
            raise self._too_large(exchange) from None
        self._release(exchange)
        return Answer(*received, exchange.target)

    def _follow(self, exchange: Exchange, answer: Answer) -> Exchange:
        messages = self._about(exchange)
        if exchange.redirects >= MAX_REDIRECTS:
            raise messages.rejected("REDIRECT_REFUSED", f"{messages.path} redirects without end")
        target = redirect_target(self.config, messages, exchange.target, answer.headers.get("Location"))
        return self.send(target, exchange.redirects + 1, exchange.headers)

    def _about(self, exchange: Exchange) -> Messages:
        return self.messages.about(exchange.target)

    def _meaning(self, exchange: Exchange, error: OSError) -> SyncError:
        self._check_stopped()
        messages = self._about(exchange)
        if isinstance(error, NotUnpacked):
            return messages.invalid("NOT_JSON", f"{messages.path} sent a body that cannot be unpacked")
        return messages.network(error)

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

    def _too_large(self, exchange: Exchange) -> SyncError:
        messages, bound = self._about(exchange), f"{self.config.max_body_bytes:,} bytes"
        return messages.invalid("BODY_TOO_LARGE", f"{messages.path} sent a body of more than {bound}")

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
