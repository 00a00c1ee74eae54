"""A pace, and how it is kept within one process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from syncapp.errors import ConnectionFailed, RateLimited
from syncapp.guards.rate_limit import LocalRateLimit, RedisRateLimit, rate_limit_for
from syncapp.ports import Pace

NEVER_SLEEPS = pytest.fail


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.mark.parametrize(
    ("requests", "pace"), [(180, Pace(3, 1)), (100, Pace(5, 3)), (7, Pace(7, 60)), (60, Pace(1, 1)), (1, Pace(1, 60))]
)
def test_so_many_a_minute_in_the_smallest_buckets(requests: int, pace: Pace) -> None:
    assert Pace.per_minute(requests) == pace


@given(st.integers(1, 100_000))
def test_no_minute_says_more_or_less_than_was_asked_for(requests: int) -> None:
    pace = Pace.per_minute(requests)
    assert 60 % pace.seconds == 0
    assert pace.requests * (60 // pace.seconds) == requests


@pytest.mark.parametrize("make", [lambda: Pace(0), lambda: Pace(1, 0), lambda: Pace.per_minute(0)])
def test_a_pace_that_stands_still_is_none(make: Callable[[], Pace]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        make()


def test_whoever_finds_the_bucket_empty_waits_for_the_next_one(time: Time) -> None:
    limit = LocalRateLimit(time)
    for _ in range(7):
        limit.acquire("k", Pace(3, 1), time.sleep)
        time.now += 0.125
    assert time.slept == [0.625, 0.625]


def test_time_without_requests_saves_up_nothing(time: Time) -> None:
    limit = LocalRateLimit(time)
    limit.acquire("k", Pace(2, 1), time.sleep)
    time.now += 600
    for _ in range(3):
        limit.acquire("k", Pace(2, 1), time.sleep)
    assert time.slept == [1.0]


def test_a_long_wait_is_told_and_not_waited_for(time: Time) -> None:
    limit = LocalRateLimit(time)
    for _ in range(7):
        limit.acquire("k", Pace(7, 60), NEVER_SLEEPS)
    time.now += 12.5
    with pytest.raises(
        RateLimited, match="7 times in 60 s at most, by all runs together; the next time in 48 s"
    ) as raised:
        limit.acquire("k", Pace(7, 60), NEVER_SLEEPS)
    assert raised.value.retry_after == 47.5
    assert raised.value.error_code == "SHARED_RATE_LIMIT"


def test_whoever_comes_too_late_for_several_buckets_gives_up(time: Time) -> None:
    limit = LocalRateLimit(time)

    def sleep_too_long(seconds: float) -> None:
        time.sleep(seconds)
        limit.acquire("k", Pace(1, 1), NEVER_SLEEPS)

    limit.acquire("k", Pace(1, 1), NEVER_SLEEPS)
    with pytest.raises(RateLimited) as raised:
        limit.acquire("k", Pace(1, 1), sleep_too_long)
    assert time.slept == [1.0, 1.0, 1.0]
    assert raised.value.retry_after == 1.0


def test_each_key_has_a_bucket_of_its_own(time: Time) -> None:
    limit = LocalRateLimit(time)
    for key in ("one", "other"):
        limit.acquire(key, Pace(1, 60), NEVER_SLEEPS)
        with pytest.raises(RateLimited):
            limit.acquire(key, Pace(1, 60), NEVER_SLEEPS)


def test_what_ends_a_wait_comes_up(time: Time) -> None:
    def stopped(_: float) -> None:
        raise ConnectionFailed("reading was stopped")

    limit = LocalRateLimit(time)
    limit.acquire("k", Pace(1, 1), NEVER_SLEEPS)
    with pytest.raises(ConnectionFailed, match="stopped"):
        limit.acquire("k", Pace(1, 1), stopped)


def test_threads_share_it(time: Time) -> None:
    limit, granted = LocalRateLimit(time), threading.Semaphore(0)
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        try:
            while True:
                limit.acquire("k", Pace(100, 60), NEVER_SLEEPS)
                granted.release()
        except RateLimited:
            return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted._value == 100


def test_a_process_that_knows_the_workers_redis_counts_there() -> None:
    assert isinstance(rate_limit_for(Settings(redis_url="redis://127.0.0.1:9/0")), RedisRateLimit)
    assert isinstance(rate_limit_for(Settings(redis_url=None)), LocalRateLimit)
