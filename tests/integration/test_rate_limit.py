"""The limit that all workers of all hosts share, kept in a real Valkey: what gets through, and what never does."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from math import ceil

import pytest
import redis
from structlog.testing import capture_logs

from syncapp.connectors.rest import RestConfig, RestSource
from syncapp.demo.server import DemoServer
from syncapp.embedded.valkey import ValkeyServer
from syncapp.errors import RateLimited
from syncapp.guards.rate_limit import RedisRateLimit
from syncapp.ports import Pace
from tests.integration.api import paused
from tests.integration.engine import MakeWorld, World, client
from tests.waiting import wait_for

NOBODY = "redis://127.0.0.1:9/0"
SLOWLY = Pace(3, 3_600)
FAST = Pace(3, 1)
MEASURED = 6.0  # seconds
Granted = tuple[float, float]  # the machine's clock just before Valkey was asked and just after it granted


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


def is_closed(limit: RedisRateLimit) -> bool:
    """Whether nothing goes out since Redis does not answer."""
    refusal = ask_once(limit)
    return refusal is not None and (refusal.error_code, refusal.retry_after) == ("RATE_LIMIT_UNKNOWN", 5.0)


def test_processes_share_a_bucket(redis_url: str) -> None:
    limits = [RedisRateLimit(redis_url) for _ in range(3)]
    for limit in limits:
        limit.acquire("k", SLOWLY)
    assert [take_all(limit) for limit in limits] == [0, 0, 0]
    limits[0].acquire("another source", SLOWLY)


def test_redis_forgets_one_bucket_and_no_more(redis_url: str) -> None:
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
        assert client.keys() == ["LIMITS:syncapp/digest/3/3600/second"]
        assert 0 < client.pttl("LIMITS:syncapp/digest/3/3600/second") <= 3_600_000


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


def ask(url: str, seconds: float) -> list[Granted]:
    """A process of three threads that ask more often than they should."""
    limit, granted = RedisRateLimit(url), list[Granted]()
    end = time.monotonic() + seconds

    def work() -> None:
        begins = time.monotonic()

        def sleep(seconds: float) -> None:
            nonlocal begins
            time.sleep(min(seconds, 0.01))
            begins = time.monotonic()

        while (begins := time.monotonic()) < end:
            with contextlib.suppress(RateLimited):
                limit.acquire("k", FAST, sleep)
                granted.append((begins, time.monotonic()))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return granted


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        yield pool


def ask_everywhere(pool: ProcessPoolExecutor, url: str) -> list[Future[list[Granted]]]:
    return [pool.submit(ask, url, MEASURED) for _ in range(4)]


def most_within(granted: list[Granted], seconds: float) -> int:
    """The most that were granted in any so many seconds, as far as one can be sure from outside."""
    return max(sum(before >= start and after <= start + seconds for before, after in granted) for start, _ in granted)


@pytest.mark.slow
def test_no_window_holds_more_than_its_buckets(redis_url: str, processes: ProcessPoolExecutor) -> None:
    granted = [one for asked in ask_everywhere(processes, redis_url) for one in asked.result(120)]
    assert len(granted) >= 6
    for seconds in (0.9, 1, 2, 3, 5):
        assert most_within(granted, seconds) <= 3 * (ceil(seconds) + 1)


@pytest.mark.slow
def test_each_flush_lets_one_bucket_through(redis_url: str, processes: ProcessPoolExecutor) -> None:
    asked, flushes = ask_everywhere(processes, redis_url), 0
    with redis.Redis.from_url(redis_url) as client:
        while not all(future.done() for future in asked) and flushes < 4:
            wait_for(lambda: client.keys("LIMITS:*") or all(future.done() for future in asked))
            client.flushall()
            flushes += 1
    granted = [one for future in asked for one in future.result(120)]
    took = max(after for _, after in granted) - min(before for before, _ in granted)
    assert len(granted) <= 3 * (ceil(took) + 1 + flushes)


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
    config = RestConfig(upstream.url, "clients", page_size=10, pace=Pace(4, 60))
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
