"""Requests of one's own over the wire: conditions, settings that change on the way, and what messages name."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from syncapp.connectors.rest import RestConfig
from syncapp.connectors.rest.body import parse
from syncapp.connectors.rest.config import ApiKey
from syncapp.connectors.rest.source import utc_now
from syncapp.connectors.rest.wire import Wire
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.server import DemoServer
from syncapp.errors import ConnectionFailed, CredentialsRefused, InvalidData, RequestRejected, SyncError
from syncapp.ports import Pace, RateLimit
from tests.rest import KEY, http_answer, raw_server, read_head

ETAG = '"v1"'
CONDITION = (("If-None-Match", ETAG),)
DATE = "Mon, 05 Jan 2026 00:00:00 GMT"
NOT_SENDABLE = [
    "",
    " ",
    "\r\n",
    f"{ETAG}\r\nX-Evil: 1",
    f"{ETAG}\n",
    f"\r{ETAG}",
    '"\x00"',
    '"ĳ"',
    '"\ud800"',
    "x" * 1_001,
]


def hotels(request: Request) -> Answer:
    """Every path but /old, which has moved, holds the same, unchanged since ever."""
    if request.path == "/old":
        return Answer(status=302, headers={"Location": "/property/1"})
    if ETAG in request.headers.get("if-none-match", "") or "if-modified-since" in request.headers:
        return Answer(status=304, headers={"ETag": ETAG, "Content-Length": "5000"})
    return Answer.json({"id": 1}, headers={"ETag": ETAG})


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(app=hotels) as server:
        yield server


@contextlib.contextmanager
def wire(url: str, rate_limit: RateLimit | None = None, **settings: object) -> Iterator[Wire]:
    given = {"resource": "property", "timeout": 10.0, "retries": 2, "backoff": 0.001} | settings
    with contextlib.closing(Wire(RestConfig(url, **given), rate_limit, utc_now)) as wire:
        yield wire


def sent(server: DemoServer, name: str) -> list[str | None]:
    return [request.headers.get(name) for request in server.requests]


@pytest.mark.parametrize("headers", [CONDITION, (("if-modified-since", DATE),), (*CONDITION, ("X-Other", "1"))])
def test_what_has_not_changed_needs_no_body(server: DemoServer, headers: tuple[tuple[str, str], ...]) -> None:
    with wire(server.url) as one:
        assert one.receive(one.send("/property/1")).status == 200
        answer = one.receive(one.send("/property/1?lang=de", headers=headers))
        assert (answer.status, answer.body, answer.target) == (304, b"", "/property/1?lang=de")
        assert answer.headers["ETag"] == ETAG
    for name, value in headers:
        assert sent(server, name.lower()) == [None, value]


def test_a_304_that_nobody_asked_for_is_a_refusal(server: DemoServer) -> None:
    server.fail("status", status=304)
    with wire(server.url) as one:
        for headers in ((), (("X-Other", "1"),)):
            with pytest.raises(RequestRejected, match="/property/1 answered 304 Not Modified"):
                one.receive(one.send("/property/1", headers=headers))


@pytest.mark.parametrize("value", NOT_SENDABLE)
def test_a_condition_that_fits_into_no_line_is_left_out(server: DemoServer, value: str) -> None:
    with wire(server.url) as one:
        headers = (("If-None-Match", value), ("X-Other", "1"))
        assert one.receive(one.send("/property/1", headers=headers)).status == 200
    assert (sent(server, "if-none-match"), sent(server, "x-other")) == ([None], ["1"])
    assert sent(server, "x-evil") == [None]


@pytest.mark.parametrize("value", [f'W/{ETAG}, "é"', "x" * 1_000])
def test_a_condition_is_sent_as_it_came(server: DemoServer, value: str) -> None:
    with wire(server.url) as one:
        one.receive(one.send("/property/1", headers=(("If-None-Match", value),)))
    assert sent(server, "if-none-match") == [value]


@pytest.mark.parametrize("kind", ["status", "reset"])
def test_repeats_and_redirects_keep_the_condition(server: DemoServer, kind: str) -> None:
    server.fail(kind, times=1)
    with wire(server.url) as one:
        answer = one.receive(one.send("/old", headers=CONDITION))
        assert (answer.status, answer.target, one.repeats) == (304, "/property/1", 1)
    assert set(sent(server, "if-none-match")) == {ETAG}
    assert len(server.requests) == 3


HEADS = [
    (),
    ("Content-Length: 5000",),
    ("Content-Length: 99999999999",),
    ("Transfer-Encoding: chunked",),
    ("Content-Length: 5000", "Content-Encoding: gzip", "Content-Type: application/json"),
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("chunks", [1, 9])
def test_the_connection_is_as_good_after_a_304(head: tuple[str, ...], chunks: int) -> None:
    connections: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        while received := read_head(connection):
            if b"if-none-match" not in received.lower():
                connection.sendall(http_answer(b'{"id": 1}'))
                continue
            whole = "\r\n".join(["HTTP/1.1 304 Not Modified", f"ETag: {ETAG}", *head, "", ""]).encode()
            size = -(-len(whole) // chunks)
            for begin in range(0, len(whole), size):
                connection.sendall(whole[begin : begin + size])

    with raw_server(answer) as url, wire(url) as one:
        for _ in range(3):
            answered = one.receive(one.send("/property/1", headers=CONDITION))
            assert (answered.status, answered.body, answered.headers["ETag"]) == (304, b"", ETAG)
            assert one.receive(one.send("/property/1")).body == b'{"id": 1}'
        assert one.repeats == 0
    assert len(connections) == 1


@pytest.mark.parametrize("head", HEADS[1:])
@pytest.mark.parametrize("body", [b'{"id": 2}', http_answer(b'{"id": 2}'), b"0\r\n\r\n"])
def test_what_follows_a_304_is_no_answer(head: tuple[str, ...], body: bytes) -> None:
    """A server that sends a body all the same: what it sends is dropped, and the connection with it."""
    connections: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        while received := read_head(connection):
            if b"if-none-match" in received.lower():
                lines = "\r\n".join(["HTTP/1.1 304 Not Modified", *head, "", ""]).encode()
                connection.sendall(lines + body)
            else:
                connection.sendall(http_answer(b'{"id": 1}'))

    with raw_server(answer) as url, wire(url) as one:
        assert one.receive(one.send("/property/1", headers=CONDITION)).body == b""
        assert one.receive(one.send("/property/1")).body == b'{"id": 1}'
    assert len(connections) == 2


def test_retries_that_change_hold_from_the_next_failure(server: DemoServer) -> None:
    server.fail("status", status=503)
    with wire(server.url, retries=0) as one:
        for retries, requests in ((None, 1), (3, 4), (None, 4), (1, 2), (0, 1)):
            server.requests.clear()
            one.tune(retries=retries)
            with pytest.raises(ConnectionFailed):
                one.receive(one.send("/property/1"))
            assert len(server.requests) == requests


class Pacemaker:
    """A shared limit that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Pace] = []

    def acquire(self, key: str, pace: Pace, sleep: Callable[[float], object] = time.sleep) -> None:
        self.asked.append(pace)


def test_a_pace_that_changes_holds_from_the_next_request(server: DemoServer) -> None:
    limit, slow, fast = Pacemaker(), Pace(1, 60), Pace(100, 60)
    with wire(server.url, limit, pace=slow) as one:
        under_way = one.send("/property/1")
        one.tune(pace=fast, retries=5)
        one.receive(under_way)
        one.receive(one.send("/property/1"))
        one.tune(retries=1)
        one.receive(one.send("/property/1"))
    assert limit.asked == [slow, fast, fast]


def test_a_pace_that_nobody_would_keep_is_refused(server: DemoServer) -> None:
    with wire(server.url) as one:
        with pytest.raises(ValueError, match="needs a rate limit"):
            one.tune(pace=Pace(1, 60), retries=9)
        assert (one.config.pace, one.config.retries) == (None, 2)
        assert one.receive(one.send("/property/1")).status == 200


def error_of(server: DemoServer, target: str = "/property/7?key=x", **settings: object) -> SyncError:
    with wire(server.url, retries=0, **settings) as one, pytest.raises(SyncError) as raised:
        parse(one.messages, one.receive(one.send(target)))
    return raised.value


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ({"kind": "status", "status": 404}, RequestRejected, "the external API: /property/7 answered 404 Not Found"),
        ({"kind": "status", "status": 500}, ConnectionFailed, "Unable to read /property/7 of the external API: "),
        ({"kind": "status", "status": 403}, CredentialsRefused, "may not read /property/7: it answered 403"),
        ({"kind": "status", "status": 401}, CredentialsRefused, "/property/7 answered 401"),
        ({"kind": "reset"}, ConnectionFailed, "Unable to read /property/7 of the external API: the connection was"),
        ({"kind": "huge", "amount": 10_000}, InvalidData, "/property/7 sent a body of more than 5,000 bytes"),
        ({"kind": "html"}, InvalidData, "/property/7 sent text/html that is not JSON"),
        ({"kind": "truncate", "amount": 3}, InvalidData, "/property/7 sent JSON that ends in the middle"),
        ({"kind": "redirect", "text": "https://elsewhere.example/x"}, RequestRejected, "/property/7 redirects to ano"),
    ],
)
def test_messages_name_what_was_asked_for(
    server: DemoServer, fault: dict[str, object], kind: type[SyncError], message: str
) -> None:
    server.fail(**fault)
    error = error_of(server, max_body_bytes=5_000)
    assert isinstance(error, kind)
    assert message in error.message
    assert "key=x" not in error.message


def test_messages_name_where_a_redirect_led_to(server: DemoServer) -> None:
    server.fail("status", path="/property/1", status=410)
    assert "/property/1 answered 410" in error_of(server, "/old").message


def test_a_key_in_a_path_is_not_told(server: DemoServer) -> None:
    server.fail("status", status=404)
    error = error_of(server, f"/{KEY}/{'x' * 10_000}", auth=ApiKey(KEY))
    assert KEY not in error.message
    assert len(error.message) < 300
