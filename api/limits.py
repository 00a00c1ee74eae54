"""How often a token may trigger. Counted in Redis for all processes; while Redis is down, in each process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import Settings
from syncapp.errors import RateLimited

log = structlog.get_logger(__name__)

# A silent Redis costs this many seconds once; after that nobody asks it for a while.
PATIENCE = 0.25
COOL_DOWN = 5.0
OPTIONS: dict[str, Any] = {
    "socket_timeout": PATIENCE,
    "socket_connect_timeout": PATIENCE,
    "retry": Retry(NoBackoff(), 1),  # once, at once, for a connection that Redis closed while it was idle
    "wrap_exceptions": True,
}

View = Callable[..., Any]


def limited(view: View) -> View:
    """Marks a route as a trigger."""
    view.is_trigger = True  # type: ignore[attr-defined]
    return view


def counted(view: View) -> View:
    """Marks a route that starts nothing and yet asks an upstream: it counts as a trigger does."""
    view.is_counted = True  # type: ignore[attr-defined]
    return view


class TriggerLimit:
    """TRIGGER_RATE_LIMIT triggers in any minute, per token.

    Flask-Limiter would do the same; it takes twice as long for it, which a trigger feels (docs/decisions).
    """

    def __init__(self, settings: Settings) -> None:
        self._item = RateLimitItemPerMinute(settings.trigger_rate_limit, namespace="syncapp")
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._everywhere = self._here
        if settings.redis_url is not None:
            self._everywhere = SlidingWindowCounterRateLimiter(storage_from_string(settings.broker, **OPTIONS))
        self._ask_again_at = 0.0

    def connect(self) -> None:
        """Connects now, so that the first trigger need not wait for it. Never raises."""
        self._everywhere.storage.check()

    def check(self, token: str) -> None:
        """Counts a trigger. Raises RateLimited with the wait."""
        if time.monotonic() >= self._ask_again_at:
            try:
                return self._hit(self._everywhere, token)
            except StorageError as error:
                self._ask_again_at = time.monotonic() + COOL_DOWN
                log.warning("limit.redis_away", reason=str(error), consequence="the limit holds per process")
        return self._hit(self._here, token)

    def _hit(self, limiter: SlidingWindowCounterRateLimiter, token: str) -> None:
        if limiter.hit(self._item, token):
            return
        wait = limiter.get_window_stats(self._item, token).reset_time - time.time()
        raise RateLimited(
            f"More than {self._item.amount} triggers a minute with this token",
            error_code="TRIGGER_RATE_LIMIT",
            retry_after=wait,
        )
