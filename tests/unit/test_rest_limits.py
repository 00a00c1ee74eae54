"""429: when to come back, however the API says it. And the limit that all workers share."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from syncapp.connectors.rest import RestConfig, RestSource
from syncapp.connectors.rest.messages import REMAINING
from syncapp.connectors.rest.source import utc_now
from syncapp.connectors.rest.wire import Wire
from syncapp.demo.server import DemoServer
from syncapp.errors import ConnectionFailed, CredentialsRefused, RateLimited
from syncapp.ports import Pace, ReadRequest
from syncapp.records import Page
from tests.rest import http_answer, ids, raw_server, read, read_head, rows

NOW = datetime(2025, 6, 30, 12, 0, 0, tzinfo=UTC)
DATE = "Mon, 30 Jun 2025 12:00:00 GMT"
EPOCH = int(NOW.timestamp())


def refusal(headers: dict[str, str], status: int = 429) -> RateLimited:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=status, text="slow down", headers={"Date": DATE} | headers)
        with pytest.raises(RateLimited) as raised:
            read(server, retries=5)
        assert len(server.requests) == 1  # never asked again by itself
        return raised.value


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": " 17 "}, 17),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "Mon, 30 Jun 2025 12:01:30 GMT"}, 90),
        ({"Retry-After": "Mon, 30 Jun 2025 11:00:00 GMT"}, 1),
        ({"Retry-After": "172800"}, 172_800),
        ({"Retry-After": "900000"}, 604_800),
        ({"Retry-After": "Mon, 30 Jun 2025 12:01:30 +99999999999999999999"}, 60),
        ({"Retry-After": "20", "Date": "Mon, 99999999999999999999 Jun 2025 12:00:00 GMT"}, 20),
        ({"Retry-After": "9" * 400}, 60),
        ({"Retry-After": "soon"}, 60),
        ({"Retry-After": "soon", "RateLimit-Reset": "20"}, 20),
        ({"Retry-After": "5", "RateLimit-Reset": "20"}, 5),
        ({"RateLimit-Reset": "20"}, 20),
        ({"X-RateLimit-Reset": str(EPOCH + 45)}, 45),
        ({"X-RateLimit-Reset": str(EPOCH - 45)}, 1),
        ({"X-RateLimit-Reset": "45"}, 45),
        ({"X-RateLimit-Reset": str(EPOCH * 1_000 + 45_000)}, 45),
        ({"X-RateLimit-Reset": str(EPOCH + 10 * 3600)}, 36_000),
        ({"RateLimit": '"default";r=0;t=33'}, 33),
        ({"RateLimit": "limit=10, remaining=0, reset=34"}, 34),
        ({}, 60),
    ],
)
def test_the_wait_that_the_api_names(headers: dict[str, str], seconds: float) -> None:
    error = refusal(headers)
    assert error.retry_after == seconds
    assert error.error_type == "rate_limit_exceeded"


def test_our_own_clock_counts_where_the_api_tells_no_time() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=429, headers={"Date": "", "X-RateLimit-Reset": str(EPOCH + 45)})
        config = RestConfig(server.url, "clients")
        with pytest.raises(RateLimited) as raised:
            list(RestSource(config, clock=lambda: NOW).read(ReadRequest()))
        assert raised.value.retry_after == 45


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "30"}, *({name: "0", "RateLimit-Reset": "30"} for name in REMAINING)]
)
def test_a_403_that_means_a_limit(headers: dict[str, str]) -> None:
    assert refusal(headers, status=403).retry_after == 30


def test_a_403_without_a_limit_is_a_refusal() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=403, headers={"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": "3600"})
        with pytest.raises(CredentialsRefused) as raised:
            read(server)
        assert raised.value.error_code == "PERMISSION_MISSING"


@pytest.mark.parametrize("status", [408, 500, 503])
def test_when_a_limit_is_reset_is_no_wait_that_a_failure_asks_for(status: int) -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=status, headers={"X-RateLimit-Reset": "3600"}, times=2)
        assert ids(read(server, retries=2, backoff=0.001)) == [1]


def test_the_pages_before_a_429_are_delivered_and_the_read_goes_on_there() -> None:
    with DemoServer({"clients": rows(95)}) as server:
        server.fail("status", status=429, page=4, headers={"Retry-After": "1"}, times=1)
        pages: list[Page] = []
        with pytest.raises(RateLimited):
            pages.extend(RestSource(RestConfig(server.url, "clients", page_size=10)).read(ReadRequest()))
        assert ids(pages) == list(range(1, 31))
        assert ids(read(server, position=pages[-1].position)) == list(range(31, 96))


PACE = Pace(10, 60)


class Allowance:
    """A shared limit that has so many requests left."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.asked: set[tuple[str, Pace]] = set()

    def acquire(self, key: str, pace: Pace, sleep: Callable[[float], object] = time.sleep) -> None:
        self.asked.add((key, pace))
        if self.left <= 0:
            raise RateLimited("the shared limit", retry_after=7)
        self.left -= 1


def test_every_request_asks_the_shared_limit() -> None:
    allowance = Allowance(100)
    with DemoServer({"clients": rows(95)}) as server:
        server.fail("status", page=3, times=2)
        server.fail("redirect", page=5, times=1, text="/clients?page=5&per_page=10")
        config = RestConfig(
            server.url, "clients", page_size=10, backoff=0.001, pace=PACE, rate_limit_key="wellness", concurrency=0
        )
        assert len(ids(RestSource(config, rate_limit=allowance).read(ReadRequest()))) == 95
        assert 100 - allowance.left == len(server.requests) == 13
    assert allowance.asked == {("wellness", PACE)}


def test_the_host_stands_for_a_key() -> None:
    allowance = Allowance(100)
    with DemoServer({"clients": rows(5)}) as server:
        list(RestSource(RestConfig(server.url, "clients", pace=PACE), rate_limit=allowance).read(ReadRequest()))
    assert allowance.asked == {("127.0.0.1", PACE)}


def test_without_a_pace_nobody_is_asked() -> None:
    allowance = Allowance(0)
    with DemoServer({"clients": rows(95)}) as server:
        source = RestSource(RestConfig(server.url, "clients"), rate_limit=allowance)
        assert len(ids(source.read(ReadRequest()))) == 95
    assert allowance.asked == set()


def test_a_pace_that_nobody_would_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a rate limit"):
        RestSource(RestConfig("http://host", "clients", pace=PACE)).read(ReadRequest())


def test_what_was_allowed_is_delivered_before_the_shared_limit_ends_the_read() -> None:
    allowance = Allowance(5)
    with DemoServer({"clients": rows(95)}) as server:
        pages: list[Page] = []
        limited = RestSource(RestConfig(server.url, "clients", page_size=10, pace=PACE), rate_limit=allowance)
        with pytest.raises(RateLimited, match="the shared limit"):
            pages.extend(limited.read(ReadRequest()))
        assert ids(pages) == list(range(1, 51))
        assert len(server.requests) == 5


def test_a_request_that_was_not_allowed_leaves_its_connection_to_the_next_one() -> None:
    connections: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        while read_head(connection):
            connection.sendall(http_answer(b"[]"))

    allowance = Allowance(1)
    with (
        raw_server(answer) as url,
        contextlib.closing(Wire(RestConfig(url, "x", pace=PACE), allowance, utc_now)) as wire,
    ):
        wire.receive(wire.send("/x"))
        with pytest.raises(RateLimited):
            wire.send("/x")
        allowance.left = 1
        assert wire.receive(wire.send("/x")).status == 200
        assert len(connections) == 1


def test_closing_the_read_ends_a_wait_for_the_shared_limit() -> None:
    waits = threading.Event()

    class Patient:
        def acquire(self, key: str, pace: Pace, sleep: Callable[[float], object] = time.sleep) -> None:
            waits.set()
            sleep(600)

    with DemoServer({"clients": rows(5)}) as server:
        config = RestConfig(server.url, "clients", pace=PACE)
        pages = RestSource(config, rate_limit=Patient()).read(ReadRequest())
        raised: list[BaseException] = []

        def work() -> None:
            try:
                next(pages)
            except ConnectionFailed as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert waits.wait(30)
        pages.close()
        thread.join(30)
        assert [error.error_code for error in raised] == ["API_READ_STOPPED"]
        assert not server.requests
