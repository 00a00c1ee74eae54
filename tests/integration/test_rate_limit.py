"""The limit that all workers of all hosts share, kept in a real Valkey: what gets through, and what never does."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import cycle, islice
from math import ceil
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from syncapp.connectors.rest import RestConfig, RestSource
from syncapp.demo.server import DemoServer
from syncapp.embedded.valkey import ValkeyServer
from syncapp.errors import ConnectionFailed, RateLimited
from syncapp.guards.rate_limit import RedisRateLimit
from syncapp.ports import Pace
from tests.integration.api import paused
from tests.integration.engine import MakeWorld, World, client
from tests.pacing import too_close
from tests.waiting import wait_for

NOBODY = "redis://127.0.0.1:9/0"
SLOWLY = Pace(1, 3_600, burst=3)
METER, WAITING = "syncapp:pace:k", "syncapp:pace:k:waiting"
MEASURED = 6.0  # seconds
SECOND = 1_000_000  # microseconds
HOUR = 3_600 * SECOND


def ask_once(limit: RedisRateLimit) -> RateLimited | None:
    try:
        limit.acquire("k", SLOWLY, sleep=pytest.fail)
    except RateLimited as refusal:
        return refusal
    return None


def take_all(limit: RedisRateLimit) -> int:
    """How many requests are granted."""
    count = 0
    while (refusal := ask_once(limit)) is None:
        count += 1
    assert refusal.error_code == "SHARED_RATE_LIMIT"
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= SLOWLY.seconds
    return count


def ask_as(limit: RedisRateLimit, who: str, *, patience: int = HOUR * 9, burst: int = 1) -> int:
    """What Valkey says to who asks for one request an hour: in how many microseconds to come back."""
    return int(limit._script([METER, WAITING], [who, HOUR, burst, patience, HOUR * 9, 0]))


def stop(waits: list[float], seconds: float) -> None:
    waits.append(seconds)
    raise ConnectionFailed("reading was stopped")


def is_closed(limit: RedisRateLimit) -> bool:
    """Whether nothing goes out since Redis does not answer."""
    refusal = ask_once(limit)
    return refusal is not None and (refusal.error_code, refusal.retry_after) == ("RATE_LIMIT_UNKNOWN", 5.0)


def test_processes_share_a_meter(redis_url: str) -> None:
    limits = [RedisRateLimit(redis_url) for _ in range(3)]
    for limit in limits:
        limit.acquire("k", SLOWLY)
    assert [take_all(limit) for limit in limits] == [0, 0, 0]
    limits[0].acquire("another source", SLOWLY)


def test_redis_forgets_one_burst_and_no_more(redis_url: str) -> None:
    limit = RedisRateLimit(redis_url)
    assert take_all(limit) == 3
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        assert take_all(limit) == 3
        client.script_flush()
        assert take_all(limit) == 0


def test_a_host_whose_clock_is_wrong_does_no_harm(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, real = RedisRateLimit(redis_url), time.time
    assert take_all(limit) == 3
    for hours in (-25, 25):
        monkeypatch.setattr(time, "time", lambda ahead=hours * 3_600: real() + ahead)
        assert take_all(limit) == 0
        assert take_all(RedisRateLimit(redis_url)) == 0


def test_what_redis_holds_goes_by_itself_and_says_little(redis_url: str) -> None:
    RedisRateLimit(redis_url).acquire("digest", SLOWLY)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.keys() == ["syncapp:pace:digest"]
        assert 3_600_000 < client.pttl("syncapp:pace:digest") <= 3_660_000
        assert [ask_as(RedisRateLimit(redis_url), who) > 0 for who in ("first", "second")] == [False, True]
        assert [ceil(client.pttl(name) / 3_600_000) for name in (METER, WAITING)] == [2, 9]


def test_who_has_asked_first_has_the_next_one(redis_url: str) -> None:
    limit = RedisRateLimit(redis_url)
    assert ask_as(limit, "first") == 0
    waits = [ask_as(limit, who) for who in ("a", "b", "c", "b", "a")]
    assert [round(wait / HOUR, 2) for wait in waits] == [1, 2, 3, 2, 1]
    assert ask_as(limit, "in a hurry", patience=HOUR) > 3 * HOUR
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.zrange(WAITING, 0, -1) == ["a", "b", "c"]
        client.hincrby(METER, "at", -HOUR)  # an hour later
        assert [ask_as(limit, who) > 0 for who in ("new", "c", "b", "a")] == [True, True, True, False]
        client.zadd(WAITING, {"b": 1})  # which should have come back long ago
        client.hincrby(METER, "at", -HOUR)
        assert [ask_as(limit, who) > 0 for who in ("new", "c")] == [True, False]
        assert client.zrange(WAITING, 0, -1) == ["new"]


def test_a_burst_is_for_those_who_come_later_as_well(redis_url: str) -> None:
    limit = RedisRateLimit(redis_url)
    assert [ask_as(limit, who, burst=2) for who in ("first", "second")] == [0, 0]
    assert ask_as(limit, "a", burst=2) > 0
    with redis.Redis.from_url(redis_url) as client:
        client.hincrby(METER, "at", -2 * HOUR)
    assert [ask_as(limit, who, burst=2) > 0 for who in ("b", "c", "a")] == [False, True, False]


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_of_redis_that_is_set_takes_no_more_than_one_spacing(redis_url: str, hours: int) -> None:
    limit = RedisRateLimit(redis_url)
    assert [ask_as(limit, who) > 0 for who in ("first", "gone")] == [False, True]
    with redis.Redis.from_url(redis_url) as client:
        client.hincrby(METER, "at", -hours * HOUR)
        client.zincrby(WAITING, -hours * HOUR, "gone")
        assert ask_as(limit, "next") <= HOUR
        client.hincrby(METER, "at", -HOUR)
    assert ask_as(limit, "next") == 0


def test_a_pace_that_changes_holds_from_the_next_request(redis_url: str) -> None:
    limit = RedisRateLimit(redis_url)
    limit.acquire("k", Pace(1, 3_600), pytest.fail)
    waits: list[float] = []
    with pytest.raises(ConnectionFailed):
        limit.acquire("k", Pace(2), partial(stop, waits))
    assert 0 < waits[0] <= 0.5
    with pytest.raises(RateLimited) as raised:
        limit.acquire("k", Pace(1, 3_600), pytest.fail)
    assert raised.value.retry_after is not None
    assert raised.value.retry_after > 3_000


def test_without_redis_nothing_goes_out() -> None:
    limit = RedisRateLimit(NOBODY)
    with capture_logs() as logs:
        assert [is_closed(limit) for _ in range(3)] == [True] * 3
    assert [entry["event"] for entry in logs] == ["rate_limit.redis_away"]


def test_a_silent_redis_is_none_and_each_outage_is_logged(redis_url: str, valkey: ValkeyServer) -> None:
    limit = RedisRateLimit(redis_url)
    assert take_all(limit) == 3
    with capture_logs() as logs:
        with paused(valkey):
            assert [is_closed(limit) for _ in range(2)] == [True] * 2
        wait_for(lambda: not is_closed(limit), what="an answer of Valkey")
        valkey.stop()
        assert is_closed(limit)
        valkey.start()
    assert [entry["event"] for entry in logs] == ["rate_limit.redis_away"] * 2
    assert take_all(limit) <= 3


class Recording(RedisRateLimit):
    """Notes when it was granted what it asked for, in microseconds of Valkey's clock."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.granted: list[int] = []
        self._taken, self._script = self._script, self._recorded

    def _recorded(self, keys: list[str], args: list[Any]) -> int:
        with self._taken.registered_client.pipeline(transaction=True) as pipe:
            self._taken(keys, args, client=pipe)
            pipe.hget(keys[0], "at")
            wait, at = pipe.execute()
        if not wait:
            self.granted.append(int(at))
        return int(wait)


def ask(url: str, pace: Pace) -> list[list[int]]:
    """A process of three threads that ask as often as they can; what each was granted."""
    limits, end = [Recording(url) for _ in range(3)], time.monotonic() + MEASURED

    def work(limit: Recording) -> None:
        while time.monotonic() < end:
            with contextlib.suppress(RateLimited):
                limit.acquire("k", pace)

    threads = [threading.Thread(target=work, args=(limit,)) for limit in limits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [limit.granted for limit in limits]


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        yield pool


def ask_everywhere(pool: ProcessPoolExecutor, url: str, *paces: Pace) -> list[Future[list[list[int]]]]:
    return [pool.submit(ask, url, pace) for pace in islice(cycle(paces), 4)]


def together(asked: list[Future[list[list[int]]]]) -> list[int]:
    return sorted(at for future in asked for granted in future.result(120) for at in granted)


@pytest.mark.slow
@pytest.mark.parametrize("pace", [Pace.per_second(10), Pace(10, 1, burst=3), Pace(500)])
def test_no_time_holds_more_than_fits_into_it_and_the_burst(
    redis_url: str, processes: ProcessPoolExecutor, pace: Pace
) -> None:
    asked = ask_everywhere(processes, redis_url, pace)
    granted = together(asked)
    assert too_close(granted, pace, SECOND) == []
    assert all(each for future in asked for each in future.result(0))  # nobody was left out


@pytest.mark.slow
def test_paces_that_differ_keep_the_faster_one(redis_url: str, processes: ProcessPoolExecutor) -> None:
    asked = ask_everywhere(processes, redis_url, Pace(10), Pace(5))
    assert too_close(together(asked), Pace(10), SECOND) == []
    assert all(each for future in asked for each in future.result(0))


@pytest.mark.slow
def test_each_flush_lets_one_burst_through(redis_url: str, processes: ProcessPoolExecutor) -> None:
    pace, flushes = Pace(10, 1, burst=2), 0
    asked = ask_everywhere(processes, redis_url, pace)
    with redis.Redis.from_url(redis_url) as client:
        while not all(future.done() for future in asked) and flushes < 4:
            wait_for(lambda: client.keys("syncapp:pace:*") or all(future.done() for future in asked))
            client.flushall()
            flushes += 1
    assert too_close(together(asked), pace, SECOND, more=flushes * pace.burst) == []


@pytest.fixture
def upstream() -> Iterator[DemoServer]:
    with DemoServer({"clients": [client(number) for number in range(1, 96)]}) as server:
        yield server


def read_on(world: World, sync_id: str) -> str:
    world.query("UPDATE sync_runs SET resume_at = NULL WHERE sync_id = %s RETURNING sync_id", sync_id)
    return world.execute(sync_id)


def test_a_run_parks_where_the_limit_is_reached_and_goes_on_there(
    make: MakeWorld, upstream: DemoServer, redis_url: str
) -> None:
    world = make([])
    config = RestConfig(upstream.url, "clients", page_size=10, pace=Pace(1, 60, burst=4))
    world.source = RestSource(config, rate_limit=RedisRateLimit(redis_url))
    sync_id = world.trigger()
    assert world.execute(sync_id) == "parked"
    run = world.run(sync_id)
    assert (run["status"], run["attempt"], run["error_code"]) == ("running", 0, "SHARED_RATE_LIMIT")
    [waiting] = world.query("SELECT extract(epoch FROM resume_at - now()) AS seconds FROM sync_runs")
    assert 0 < waiting["seconds"] <= 61
    assert len(world.rows()) == 40
    assert read_on(world, sync_id) == "parked"  # too early: nothing goes out
    assert len(upstream.requests) == 4
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        assert read_on(world, sync_id) == "parked"
        client.flushall()
    assert read_on(world, sync_id) == "completed"
    assert len(upstream.requests) == 10
    assert world.run(sync_id)["records_processed"] == len(world.rows()) == 95
