"""Any REST API that lists records, as a source."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from syncapp.connectors.rest.config import RestConfig
from syncapp.connectors.rest.reader import PageReader
from syncapp.connectors.rest.wire import Wire
from syncapp.ports import Clock, RateLimit, ReadRequest

PING_TIMEOUT = 5.0


def utc_now() -> datetime:
    return datetime.now(UTC)


def time_once(config: RestConfig, rate_limit: RateLimit | None, ask: Callable[[RestConfig], None]) -> float:
    """The milliseconds that it takes to ask an API once for little, without the wait for its pace.

    `ask` does it, without a retry. Raises what it raises, RateLimited.
    """
    if rate_limit is not None and config.pace is not None:
        rate_limit.acquire(config.limit_key, config.pace)
    timeout = min(config.timeout, PING_TIMEOUT)
    once = replace(config, page_size=1, retries=0, concurrency=0, timeout=timeout, pace=None)
    begin = time.perf_counter()
    ask(once)
    return (time.perf_counter() - begin) * 1000


class RestSource:
    """Reads one resource of one API. Holds nothing between two reads.

    Raises ConnectionFailed, RateLimited, CredentialsRefused, RequestRejected, InvalidData.
    """

    def __init__(self, config: RestConfig, *, rate_limit: RateLimit | None = None, clock: Clock = utc_now) -> None:
        self.config = config
        self._rate_limit = rate_limit
        self._clock = clock

    def read(self, request: ReadRequest) -> PageReader:
        """The pages in order. The reader's `close` may be called from any thread, also while another waits in it."""
        return self._reader(self.config, request)

    def ping(self) -> float:
        """Asks once for one record; the milliseconds that it took, without the wait for the source's pace.

        Raises what a read would.
        """

        def ask(config: RestConfig) -> None:
            pages = self._reader(config, ReadRequest())
            try:
                next(pages, None)
            finally:
                pages.close()

        return time_once(self.config, self._rate_limit, ask)

    def _reader(self, config: RestConfig, request: ReadRequest) -> PageReader:
        return PageReader(config, request, Wire(config, self._rate_limit, self._clock))
