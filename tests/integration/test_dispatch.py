"""Handing runs to Redis: quick when it is there, quick when it is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
import redis

from config.settings import Settings
from syncapp.embedded.valkey import ValkeyServer
from workers.dispatch import COOL_DOWN, CeleryDispatcher


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dispatcher(redis_url: str, clock: Clock) -> Iterator[CeleryDispatcher]:
    made = CeleryDispatcher(Settings(redis_url=redis_url), clock)
    yield made
    made.close()


@pytest.fixture
def silent_server() -> Iterator[tuple[str, socket.socket]]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0", server


def accepted(server: socket.socket) -> int:
    """How many connections have been made to a server that accepts only now."""
    server.settimeout(0.05)
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except TimeoutError:
            return count
        count += 1


def test_a_message_holds_the_id_and_nothing_else(dispatcher: CeleryDispatcher, redis_url: str) -> None:
    assert dispatcher.dispatch("sync_default_1", "sync") is True
    with redis.Redis.from_url(redis_url) as client:
        (raw,) = client.lrange("sync", 0, -1)  # type: ignore[misc]
    message = orjson.loads(raw)
    assert message["headers"]["task"] == "syncapp.run"
    assert orjson.loads(message["headers"]["argsrepr"].replace("(", "[").replace(",)", "]").replace("'", '"')) == [
        "sync_default_1"
    ]
    assert message["headers"]["kwargsrepr"] == "{}"


def test_queue_lengths(dispatcher: CeleryDispatcher) -> None:
    assert dispatcher.queue_lengths(["sync", "default"]) == {"sync": 0, "default": 0}
    dispatcher.dispatch("sync_default_1", "sync")
    assert dispatcher.queue_lengths(["sync", "default"]) == {"sync": 1, "default": 0}


def test_messages_find_their_queue_after_flushall(dispatcher: CeleryDispatcher, redis_url: str) -> None:
    dispatcher.dispatch("one", "sync")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        assert dispatcher.dispatch("two", "sync") is True
        assert client.llen("sync") == 1


def test_redis_goes_and_comes_back(dispatcher: CeleryDispatcher, valkey: ValkeyServer, clock: Clock) -> None:
    assert dispatcher.dispatch("one", "sync") is True
    valkey.stop()
    try:
        assert dispatcher.dispatch("two", "sync") is False
        assert dispatcher.queue_lengths(["sync"]) is None
    finally:
        valkey.start()
    assert dispatcher.dispatch("three", "sync") is False  # it does not ask again so soon
    clock.now += COOL_DOWN
    assert dispatcher.dispatch("four", "sync") is True
    assert dispatcher.dispatch("five", "sync") is True


def test_a_redis_that_hangs_is_asked_once_in_a_while(
    silent_server: tuple[str, socket.socket], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    url, server = silent_server
    dispatcher = CeleryDispatcher(Settings(redis_url=url), clock)
    assert dispatcher.dispatch("one", "sync") is False
    first = accepted(server)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: dispatcher.dispatch(f"run {n}", "sync"), range(50))) == {False}
    assert accepted(server) == 0
    clock.now += COOL_DOWN
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: dispatcher.dispatch(f"run {n}", "sync"), range(50))) == {False}
    assert 1 <= accepted(server) <= first
    dispatcher.close()
