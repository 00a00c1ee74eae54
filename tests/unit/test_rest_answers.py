"""Answers that are no answer: HTML, broken JSON, wrong envelopes, bodies without end."""

from __future__ import annotations

import gzip
import json
import socket
import tracemalloc
from typing import Any

import orjson
import pytest

from syncapp.connectors.rest import ApiKey, Bearer, SinglePage
from syncapp.connectors.rest.body import parse
from syncapp.connectors.rest.config import RestConfig
from syncapp.connectors.rest.messages import Messages
from syncapp.connectors.rest.wire import Answer as Received
from syncapp.demo.exchange import Answer
from syncapp.demo.server import DemoServer
from syncapp.errors import ConnectionFailed, InvalidData
from tests.rest import KEY, http_answer, ids, raw_server, read, read_head, rows


def invalid(server: DemoServer | str, **config: Any) -> InvalidData:
    with pytest.raises(InvalidData) as raised:
        read(server, **config)
    assert raised.value.error_type == "invalid_data_format"
    return raised.value


def test_html_instead_of_json() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("html")
        error = invalid(server)
    assert error.error_code == "API_NOT_JSON"
    assert "/clients sent text/html that is not JSON: <!doctype html><html><head><title>Sign in" in error.message
    assert len(server.requests) == 1


def test_html_in_the_middle_of_a_read() -> None:
    with DemoServer({"clients": rows(55)}) as server:
        server.fail("html", page=4)
        assert invalid(server).error_code == "API_NOT_JSON"


@pytest.mark.parametrize("amount", [1, 30, 100])
def test_truncated_json(amount: int) -> None:
    with DemoServer({"clients": rows(10)}) as server:
        server.fail("truncate", amount=amount)
        assert invalid(server).error_code == "API_TRUNCATED_JSON"


@pytest.mark.parametrize(
    "text", ["", "   ", "nonsense", "[1,]", "{'id': 1}", "[1] [2]", '[{"id":1}]trailing', "\x00", "[" * 100_000]
)
def test_bodies_that_are_not_json(text: str) -> None:
    with DemoServer({"clients": []}) as server:
        server.fail("body", text=text)
        assert invalid(server).error_code in {"API_NOT_JSON", "API_TRUNCATED_JSON"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"error": "x"},
        {"clients": None},
        {"clients": {"id": 1}},
        {"items": []},
        "text",
        7,
        None,
        True,
        {"data": "x"},
    ],
)
def test_a_wrong_envelope(body: Any) -> None:
    with DemoServer(app=lambda _: Answer.json(body)) as server:
        error = invalid(server)
    assert error.error_code == "API_WRONG_ENVELOPE"
    assert 'a list under "clients" or "data" was expected' in error.message


def test_a_wrong_envelope_says_what_it_held() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("envelope")
        assert "an object with unexpected" in invalid(server).message


def test_garbage_records_are_not_the_sources_business() -> None:
    with DemoServer({"clients": rows(3)}) as server:
        server.fail("garbage", amount=5)
        assert read(server)[0].records[:5] == [None, 42, "text", [], {}]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_above_the_bound(announced: bool) -> None:
    body = b'["' + b"x" * 300_000 + b'"]'

    def answer(connection: socket.socket) -> None:
        read_head(connection)
        if announced:
            connection.sendall(http_answer(body))
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    with raw_server(answer) as url:
        error = invalid(url, max_body_bytes=200_000)
    assert error.error_code == "API_BODY_TOO_LARGE"
    assert "200,000 bytes" in error.message


def test_a_body_without_end_is_given_up_at_the_bound() -> None:
    def answer(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[")
        while True:
            connection.sendall(b"1," * 50_000)

    with raw_server(answer) as url:
        assert invalid(url, max_body_bytes=2_000_000).error_code == "API_BODY_TOO_LARGE"


def test_a_small_body_that_unpacks_to_a_huge_one_is_given_up_at_the_bound() -> None:
    packed = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    with DemoServer(app=lambda _: Answer(packed, headers={"Content-Encoding": "gzip"})) as server:
        tracemalloc.start()
        try:
            assert invalid(server, max_body_bytes=1_000_000).error_code == "API_BODY_TOO_LARGE"
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


def test_packed_bodies_are_unpacked() -> None:
    packed = gzip.compress(orjson.dumps(rows(5)))
    with DemoServer(app=lambda _: Answer(packed, headers={"Content-Encoding": "gzip"})) as server:
        assert ids(read(server, paginator=SinglePage())) == [1, 2, 3, 4, 5]
        assert server.requests[0].headers["accept-encoding"] == "gzip"


def test_a_body_that_cannot_be_unpacked() -> None:
    with DemoServer(app=lambda _: Answer(b"[]", headers={"Content-Encoding": "gzip"})) as server:
        assert invalid(server).error_code == "API_NOT_JSON"


PACKED = gzip.compress(b'[{"id":') + gzip.compress(b"1}]")
FORMS = {
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n[{"id\r\n6;x=y\r\n": 1}]\r\n0\r\nTrailer: 1\r\n\r\n',
    "no length": b'HTTP/1.0 200 OK\r\nServer: old\r\n\r\n[{"id": 1}]',
    "the last answer": b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\n[{"id": 1}]',
    "more than was promised": b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\n[{"id": 1}]more',
    "a word in between": b'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel="next"\r\n\r\n' + http_answer(b'[{"id": 1}]'),
    "bare line feeds": b'HTTP/1.1 200 OK\nContent-Length: 11\n\n[{"id": 1}]',
    "packed twice": http_answer(PACKED, "Content-Encoding: gzip"),
    "two at once": http_answer(b'[{"id": 1}]') + http_answer(b"[]", status="500 Oops"),
    "two lengths": http_answer(b'[{"id": 1}]', "Transfer-Encoding: chunked")[:-11] + b'b\r\n[{"id": 1}]\r\n0\r\n\r\n',
    "a padded chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb  \r\n[{"id": 1}]\r\n0\r\n\r\n',
    "an odd header": http_answer(b'[{"id": 1}]', "X-Odd: \x01\x02"),
    "packed and padded": http_answer(PACKED + bytes(20), "Content-Encoding: gzip"),
    "no reason": b'HTTP/1.1 200\r\nContent-Length: 11\r\n\r\n[{"id": 1}]',
}


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize("form", FORMS)
def test_answers_of_every_form_in_pieces_of_every_size(form: str, piece: int) -> None:
    def answer(connection: socket.socket) -> None:
        read_head(connection)
        for first in range(0, len(FORMS[form]), piece):
            connection.sendall(FORMS[form][first : first + piece])

    with raw_server(answer) as url:
        assert ids(read(url, paginator=SinglePage())) == [1]


def test_what_follows_an_answer_is_not_the_next_one() -> None:
    def answer(connection: socket.socket) -> None:
        while head := read_head(connection):
            page = int(head.split(b"page=")[1].split(b"&")[0])
            body = b'{"data": [{"id": %d}], "total": 5, "per_page": 1}' % page
            connection.sendall(http_answer(body) + (b"HTTP/1.1 204 No Content\r\n\r\n" if page == 3 else b""))

    with raw_server(answer) as url:
        assert ids(read(url, page_size=1)) == [1, 2, 3, 4, 5]


def test_a_header_without_end_is_given_up() -> None:
    def answer(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-More: %b\r\n" % (b"x" * 10_000))

    with raw_server(answer) as url, pytest.raises(ConnectionFailed) as raised:
        read(url, retries=0)
    assert raised.value.error_code == "API_NOT_HTTP"


def test_nothing_dangerous_comes_into_a_message() -> None:
    body = f"<p>\x1b[31m\x00{KEY}\u202e {'long ' * 100}".encode()
    with DemoServer(app=lambda _: Answer(body, content_type=f"text/html; key={KEY}")) as server:
        message = invalid(server, auth=Bearer(KEY)).message
    assert KEY not in message
    assert message.isprintable()
    assert len(message) < 250


def test_a_key_in_the_body_is_never_repeated() -> None:
    with DemoServer(app=lambda _: Answer.json({f"key {KEY}": 1})) as server:
        assert KEY not in invalid(server, auth=ApiKey(KEY)).message


def received(body: bytes, content_type: str = "application/json") -> Any:
    messages = Messages(RestConfig("http://host", "clients"))
    return parse(messages, Received(200, {"Content-Type": content_type}, body, "/clients"))


@pytest.mark.parametrize(
    ("body", "records"),
    [
        (rb'["\ud800"]', ["\ufffd"]),
        (rb'["\udc00x\ud83d\ude00"]', ["\ufffdx😀"]),
        (rb'["\\ud800"]', ["\\ud800"]),
        (rb'["\\\ud800"]', ["\\\ufffd"]),
        (rb'["\ud800\ud83d\ude00\udc00"]', ["\ufffd😀\ufffd"]),
        (b"\xef\xbb\xbf[1]", [1]),
    ],
)
def test_one_odd_value_does_not_cost_the_page(body: bytes, records: list[Any]) -> None:
    assert received(body) == records


def test_not_a_number_does_not_cost_the_page() -> None:
    assert json.dumps(received(b"[NaN, 1]")) == "[NaN, 1]"


def test_another_charset() -> None:
    assert received('["Zoë"]'.encode("latin-1"), "application/json; charset=ISO-8859-1") == ["Zoë"]
    for wrong in ("application/json", "application/json; charset=klingon"):
        with pytest.raises(InvalidData):
            received('["Zoë"]'.encode("latin-1"), wrong)
