"""A pace, and how it is kept within one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from syncapp.errors import ConnectionFailed, RateLimited
from syncapp.guards.rate_limit import GRACE, LATE, LocalRateLimit, RedisRateLimit, rate_limit_for
from syncapp.ports import Pace
from tests.pacing import most_within, too_close

NEVER_SLEEPS = pytest.fail
SECOND = 1_000_000_000  # nanoseconds


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += round(seconds * SECOND)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.mark.parametrize(
    ("requests", "pace"),
    [
        (180, Pace(3, 1, burst=3)),
        (100, Pace(5, 3, burst=5)),
        (7, Pace(7, 60, burst=7)),
        (60, Pace(1, 1)),
        (1, Pace(1, 60)),
    ],
)
def test_so_many_a_minute_in_the_smallest_bursts(requests: int, pace: Pace) -> None:
    assert Pace.per_minute(requests) == pace


@given(st.integers(1, 100_000))
def test_no_minute_says_more_or_less_than_was_asked_for(requests: int) -> None:
    pace = Pace.per_minute(requests)
    assert 60 % pace.seconds == 0
    assert pace.requests * (60 // pace.seconds) == requests
    assert pace.burst == pace.requests


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pace(0),
        lambda: Pace(1, 0),
        lambda: Pace(1, 1, burst=0),
        lambda: Pace.per_minute(0),
        lambda: Pace.per_second(0),
    ],
)
def test_a_pace_that_stands_still_is_none(make: Callable[[], Pace]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        make()


def test_a_pace_says_what_it_is() -> None:
    assert [str(pace) for pace in (Pace.per_minute(100), Pace.per_second(10))] == [
        "5 times in 3 s",
        "10 times in 1.05 s",
    ]


@given(st.integers(1, 30), st.data())
def test_so_many_a_second_hold_although_they_arrive_unevenly(requests: int, data: st.DataObject) -> None:
    """No second holds more than one too many, no ten seconds more than ten times that."""
    time = Time()
    limit, pace, sent = LocalRateLimit(time), Pace.per_second(requests), list[int]()
    for _ in range(12 * requests):
        limit.acquire("k", pace, time.sleep)
        sent.append(time.now)
    jitter = st.lists(st.integers(0, int(LATE * SECOND)), min_size=len(sent), max_size=len(sent))
    arrived = sorted(map(sum, zip(sent, data.draw(jitter), strict=True)))
    assert most_within(arrived, SECOND) <= requests + 1
    assert most_within(arrived, 10 * SECOND) <= 10 * requests


PACES = st.builds(Pace, st.integers(1, 50), st.integers(1, 60), st.integers(1, 10))


@given(PACES, st.lists(st.tuples(st.integers(0, 5 * SECOND), st.integers(1, 12)), max_size=8))
def test_no_time_holds_more_than_fits_into_it_and_the_burst(pace: Pace, asked: Sequence[tuple[int, int]]) -> None:
    time, granted = Time(), list[int]()
    limit = LocalRateLimit(time)
    for pause, times in asked:
        time.now += pause
        for _ in range(times):
            try:
                limit.acquire("k", pace, time.sleep)
                granted.append(time.now)
            except RateLimited as refusal:
                time.sleep(refusal.retry_after / 2)
    assert too_close(granted, pace, SECOND) == []


@given(PACES)
def test_nobody_waits_longer_than_the_pace_wants(pace: Pace) -> None:
    time = Time()
    limit, begin = LocalRateLimit(time), time.now
    for number in range(40):
        try:
            limit.acquire("k", pace, time.sleep)
        except RateLimited as refusal:
            time.sleep(refusal.retry_after)
            limit.acquire("k", pace, NEVER_SLEEPS)
        due = (number + 1 - pace.burst) * pace.spacing * SECOND
        assert time.now - begin <= max(0, due) + number + 1  # a nanosecond each


def test_whoever_comes_too_early_waits_for_the_next_moment(time: Time) -> None:
    limit = LocalRateLimit(time)
    for _ in range(5):
        limit.acquire("k", Pace(2, 1, burst=2), time.sleep)
        time.now += SECOND // 8
    assert time.slept == [0.25, 0.375, 0.375]


def test_time_without_requests_saves_up_no_more_than_a_burst(time: Time) -> None:
    limit = LocalRateLimit(time)
    limit.acquire("k", Pace(2, 1, burst=2), time.sleep)
    time.now += 600 * SECOND
    for _ in range(3):
        limit.acquire("k", Pace(2, 1, burst=2), time.sleep)
    assert time.slept == [0.5]


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        (Pace(1, 60), Pace(10), 0.1),
        (Pace(10), Pace(5), 0.2),
        (Pace(1, 60, burst=3), Pace(2), 0.5),
        (Pace(2), Pace(2, burst=3), 0.0),
    ],
)
def test_a_pace_that_changes_holds_from_the_next_request(time: Time, before: Pace, after: Pace, waits: float) -> None:
    limit = LocalRateLimit(time)
    limit.acquire("k", before, NEVER_SLEEPS)
    limit.acquire("k", after, time.sleep)
    assert sum(time.slept) == waits


@given(st.lists(st.sampled_from([Pace(10), Pace(5), Pace(3, 1, burst=3)]), min_size=1, max_size=60))
def test_paces_that_differ_keep_at_least_the_fastest_of_them(paces: Sequence[Pace]) -> None:
    time, granted = Time(), list[int]()
    limit = LocalRateLimit(time)
    for pace in paces:
        limit.acquire("k", pace, time.sleep)
        granted.append(time.now)
    assert too_close(granted, Pace(10, 1, burst=3), SECOND) == []


def test_a_long_wait_is_told_and_not_waited_for(time: Time) -> None:
    limit = LocalRateLimit(time)
    for _ in range(2):
        limit.acquire("k", Pace(1, 60, burst=2), NEVER_SLEEPS)
    time.now += SECOND * 15 // 2
    with pytest.raises(
        RateLimited, match="1 times in 60 s at most, by all runs together; the next time in 53 s"
    ) as raised:
        limit.acquire("k", Pace(1, 60, burst=2), NEVER_SLEEPS)
    assert raised.value.retry_after == 52.5
    assert raised.value.error_code == "SHARED_RATE_LIMIT"


def test_whoever_comes_too_late_again_and_again_gives_up(time: Time) -> None:
    limit = LocalRateLimit(time)

    def sleep_too_long(seconds: float) -> None:
        time.sleep(seconds + 2 * GRACE)
        limit.acquire("k", Pace(1), NEVER_SLEEPS)

    limit.acquire("k", Pace(1), NEVER_SLEEPS)
    with pytest.raises(RateLimited) as raised:
        limit.acquire("k", Pace(1), sleep_too_long)
    assert len(time.slept) == 3
    assert raised.value.retry_after == 1.0


def test_each_key_has_a_meter_of_its_own(time: Time) -> None:
    limit = LocalRateLimit(time)
    for key in ("one", "other"):
        limit.acquire(key, Pace(1, 60), NEVER_SLEEPS)
        with pytest.raises(RateLimited):
            limit.acquire(key, Pace(1, 60), NEVER_SLEEPS)


def test_what_ends_a_wait_comes_up(time: Time) -> None:
    def stopped(_: float) -> None:
        raise ConnectionFailed("reading was stopped")

    limit = LocalRateLimit(time)
    limit.acquire("k", Pace(1), NEVER_SLEEPS)
    with pytest.raises(ConnectionFailed, match="stopped"):
        limit.acquire("k", Pace(1), stopped)


def test_threads_share_it(time: Time) -> None:
    limit, granted = LocalRateLimit(time), threading.Semaphore(0)
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        try:
            while True:
                limit.acquire("k", Pace(1, 60, burst=100), NEVER_SLEEPS)
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
