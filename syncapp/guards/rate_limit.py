"""Never faster than the source allows.

A meter counts requests and runs back at the pace, by one after each spacing (GCRA, the generic cell rate algorithm): a
request is granted where it does not lift the meter above the burst. So no window of any length holds more than fits
into it, and the burst. Whoever waits has a place: the next free moment belongs to who has asked first, however slowly
a host's words travel. Whoever forgets (Redis, flushed) lets through one burst.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any
from uuid import uuid4

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import Settings
from syncapp.errors import RateLimited
from syncapp.ports import Pace, RateLimit

log = structlog.get_logger(__name__)

MOMENT = 3.0  # seconds that a request may wait for its turn here; a longer wait is the run's, without a worker
GRACE = 0.1  # seconds that a place is kept for who has not come back in time
LATE = 0.05  # seconds after which a permission may be stale, at spacings of up to twice as much
LATE_PERMISSIONS = 2  # so many are let go: a process that is always late sends nothing otherwise
PATIENCE = 0.5  # seconds for each answer of Redis
REDIS_AWAY_WAIT = 5.0
OPTIONS: dict[str, Any] = {
    "socket_timeout": PATIENCE,
    "socket_connect_timeout": PATIENCE,
    "retry": Retry(NoBackoff(), 1),  # once, at once, for a connection that Redis closed while it was idle
}
# In microseconds of Redis' own clock, which may be set back. The meter is kept a minute longer than it shows anything,
# for a pace that becomes slower. `Meter.take` is the same in Python.
TAKE = """
local meter, waiting, who = KEYS[1], KEYS[2], ARGV[1]
local spacing, burst, patience = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local moment, grace = tonumber(ARGV[5]), tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now - grace)
redis.call('ZREMRANGEBYSCORE', waiting, now + moment + 1, '+inf')
local known = redis.call('HMGET', meter, 'at', 'level')
local passed = math.max(0, now - (tonumber(known[1]) or now))
local level = math.max(0, (tonumber(known[2]) or 0) - passed / spacing)
local ahead = redis.call('ZRANK', waiting, who) or redis.call('ZCARD', waiting)
local wait = math.max(0, math.ceil((level + ahead + 1 - burst) * spacing))
if wait > 0 and ahead > 0 then
    local before = redis.call('ZRANGE', waiting, ahead - 1, ahead - 1, 'WITHSCORES')[2]
    wait = math.max(wait, math.ceil(before + spacing - now))
end
if wait > 0 and wait <= patience then
    redis.call('ZADD', waiting, now + wait, who)
    redis.call('PEXPIRE', waiting, math.ceil((moment + grace) / 1000))
else
    redis.call('ZREM', waiting, who)
end
if wait == 0 then
    level = level + 1
end
redis.call('HSET', meter, 'at', now, 'level', level)
redis.call('PEXPIRE', meter, math.ceil(level * spacing / 1000) + 60000)
return wait
"""


class Paced(ABC):
    """Waits for its turn; where that is far away, says when it is."""

    def acquire(self, key: str, pace: Pace, sleep: Callable[[float], object] = time.sleep) -> None:
        """As `RateLimit` has it."""
        who, waited = uuid4().hex, 0.0
        while wait := self._take_in_time(key, pace, who, MOMENT - waited):
            waited += wait
            if waited > MOMENT:
                text = f"The source is asked {pace} at most, by all runs together; the next time in {ceil(wait)} s"
                raise RateLimited(text, error_code="SHARED_RATE_LIMIT", retry_after=wait)
            sleep(wait)

    def _take_in_time(self, key: str, pace: Pace, who: str, patience: float) -> float:
        """As `_take`. A permission that came late might go out in a heap with those after it, so another is taken."""
        for _ in range(LATE_PERMISSIONS):
            asked = time.monotonic()
            wait = self._take(key, pace, who, patience)
            if wait or time.monotonic() - asked <= max(LATE, pace.spacing / 2):
                return wait
        return self._take(key, pace, who, patience)

    @abstractmethod
    def _take(self, key: str, pace: Pace, who: str, patience: float) -> float:
        """Takes a permission: 0. Where there is none yet, the seconds until who asks may have one.

        The place is kept where that is no longer than `patience`, for who comes back then.
        """


class RedisRateLimit(Paced):
    """One limit for everybody who uses this Redis, by whose clock it is kept.

    Closed while Redis does not answer, for nobody knows then what others send. One per process, made after the fork.
    """

    def __init__(self, url: str) -> None:
        """Connects when it is asked for the first time."""
        self._script = redis.Redis.from_url(url, **OPTIONS).register_script(TAKE)
        self._away = False

    def _take(self, key: str, pace: Pace, who: str, patience: float) -> float:
        name = f"syncapp:pace:{key}"
        times = (ceil(seconds * 1e6) for seconds in (patience, MOMENT, GRACE))
        try:
            wait: int = self._script([name, f"{name}:waiting"], [who, pace.spacing * 1e6, pace.burst, *times])
        except redis.RedisError as error:
            if not self._away:
                log.warning("rate_limit.redis_away", reason=str(error), consequence="sources with a pace are not asked")
            self._away = True
            text = "Redis does not answer, so that nobody knows how often the source is being asked"
            raise RateLimited(text, error_code="RATE_LIMIT_UNKNOWN", retry_after=REDIS_AWAY_WAIT) from None
        self._away = False
        return wait / 1e6


@dataclass(slots=True)
class Meter:
    """In nanoseconds of a clock that is never set back."""

    at: int = 0
    level: float = 0.0
    waiting: dict[str, int] = field(default_factory=dict)  # who, and when they are to come back

    def take(self, now: int, pace: Pace, who: str, patience: float) -> int:
        spacing = pace.spacing * 1e9
        self.waiting = {one: due for one, due in self.waiting.items() if due >= now - GRACE * 1e9}
        self.level = max(0.0, self.level - (now - self.at) / spacing)
        self.at = now
        place = self.waiting.pop(who, inf)
        ahead = [due for due in self.waiting.values() if due < place]
        wait = max(0, ceil((self.level + len(ahead) + 1 - pace.burst) * spacing))
        if wait and ahead:
            wait = max(wait, ceil(max(ahead) + spacing - now))
        if 0 < wait <= patience * 1e9:
            self.waiting[who] = now + wait
        self.level += wait == 0
        return wait


class LocalRateLimit(Paced):
    """The same within one process, where there is no Redis."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._meters: dict[str, Meter] = {}

    def _take(self, key: str, pace: Pace, who: str, patience: float) -> float:
        with self._lock:
            return self._meters.setdefault(key, Meter()).take(self._clock(), pace, who, patience) / 1e9


def rate_limit_for(settings: Settings) -> RateLimit:
    """The one that this process shares with the workers, where it knows their Redis."""
    return RedisRateLimit(settings.broker) if settings.redis_url else LocalRateLimit()
