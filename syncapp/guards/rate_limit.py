"""Never faster than the source allows.

A pace is kept bucket by bucket: a bucket begins with the first request after the one before it has ended, and holds so
many. In any minute that is what the pace says and one bucket more, at most. Buckets are small, so whoever forgets how
many are gone (Redis, flushed) lets through one bucket, and not a minute's worth.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import ceil
from typing import Any

import redis
import structlog
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import Settings
from syncapp.errors import RateLimited
from syncapp.ports import Pace, RateLimit

log = structlog.get_logger(__name__)

MOMENT = 3.0  # seconds that a request may wait for a new bucket here; a longer wait is the run's, without a worker
PATIENCE = 0.5  # seconds for each answer of Redis
REDIS_AWAY_WAIT = 5.0
NAMESPACE = "syncapp"
OPTIONS: dict[str, Any] = {
    "socket_timeout": PATIENCE,
    "socket_connect_timeout": PATIENCE,
    "retry": Retry(NoBackoff(), 1),  # once, at once, for a connection that Redis closed while it was idle
}


class Buckets(ABC):
    """Waits for its turn; where that is far away, says when it is."""

    def acquire(self, key: str, pace: Pace, sleep: Callable[[float], object] = time.sleep) -> None:
        """As `RateLimit` has it."""
        waited = 0.0
        while wait := self._take(key, pace):
            waited += wait
            if waited > MOMENT:
                text = f"The source is asked {pace} at most, by all runs together; the next time in {ceil(wait)} s"
                raise RateLimited(text, error_code="SHARED_RATE_LIMIT", retry_after=wait)
            sleep(wait)

    @abstractmethod
    def _take(self, key: str, pace: Pace) -> float:
        """Takes a request out of the bucket: 0. Where it is empty, the seconds until the next one."""


class RedisRateLimit(Buckets):
    """One limit for everybody who uses this Redis, by whose clock it is kept.

    Closed while Redis does not answer, for nobody knows then what others send. One per process, made after the fork.
    """

    def __init__(self, url: str) -> None:
        """Connects when it is asked for the first time."""
        self._storage = RedisStorage(url, **OPTIONS)
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._away = False

    def _take(self, key: str, pace: Pace) -> float:
        item = RateLimitItemPerSecond(pace.requests, pace.seconds, namespace=NAMESPACE)
        try:
            granted = self._limiter.hit(item, key)
            name = self._storage.prefixed_key(item.key_for(key))
            milliseconds: int = 0 if granted else self._storage.storage.pttl(name)
        except redis.RedisError as error:
            if not self._away:
                log.warning("rate_limit.redis_away", reason=str(error), consequence="sources with a pace are not asked")
            self._away = True
            text = "Redis does not answer, so that nobody knows how often the source is being asked"
            raise RateLimited(text, error_code="RATE_LIMIT_UNKNOWN", retry_after=REDIS_AWAY_WAIT) from None
        self._away = False
        return 0.0 if granted else min(max(milliseconds, 1) / 1_000, pace.seconds)


class LocalRateLimit(Buckets):
    """The same within one process, where there is no Redis."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, Pace], tuple[float, int]] = {}  # when it ends, how many it still holds

    def _take(self, key: str, pace: Pace) -> float:
        with self._lock:
            now = self._clock()
            ends, left = self._buckets.get((key, pace), (now, 0))
            if now >= ends:
                ends, left = now + pace.seconds, pace.requests
            self._buckets[key, pace] = ends, max(left - 1, 0)
            return 0.0 if left else ends - now


def rate_limit_for(settings: Settings) -> RateLimit:
    """The one that this process shares with the workers, where it knows their Redis."""
    return RedisRateLimit(settings.broker) if settings.redis_url else LocalRateLimit()
