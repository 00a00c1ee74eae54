"""An API that cannot be reached, refuses, breaks off or is slow: the right error, its code, how often it is asked."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from syncapp.connectors.rest import SinglePage
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.server import DemoServer
from syncapp.errors import ConnectionFailed, CredentialsRefused, PermanentError, RequestRejected
from tests.rest import asked, http_answer, ids, raw_server, read, read_head, rows, source

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = str(CERTIFICATES / "loopback.pem")


def failure(server: DemoServer | str, **config: object) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as raised:
        read(server, **config)
    return raised.value


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_unreachable_host() -> None:
    error = failure(closed_port())
    assert error.error_code == "API_UNREACHABLE"
    assert error.error_type == "api_connection_failed"
    assert error.message == "Unable to read /clients of the external API: no connection (Connection refused)"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example"])
def test_a_host_name_that_cannot_be_resolved(host: str) -> None:
    assert failure(f"http://{host}", retries=0).error_code == "API_DNS_FAILED"


def test_a_connection_that_is_never_accepted_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with socket.create_connection(listener.getsockname()), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(listener.getsockname())  # the queue is full now
            assert failure(url, retries=0, timeout=0.2).error_code == "API_TIMEOUT"


def test_plain_http_where_tls_was_expected() -> None:
    with DemoServer({"clients": []}) as server:
        error = failure(server.url.replace("http:", "https:"), retries=5)
    assert error.error_code == "API_TLS_FAILED"


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "loopback.pem", CERTIFICATES / "loopback.key")
    return context


def test_a_certificate_that_nobody_vouches_for(tls: ssl.SSLContext) -> None:
    with DemoServer({"clients": rows(1)}, tls=tls) as server:
        error = failure(server)
        assert error.error_code == "API_TLS_FAILED"
        assert "self-signed certificate" in error.message
        assert not server.requests


def test_a_certificate_of_another_host(tls: ssl.SSLContext) -> None:
    with DemoServer({"clients": rows(1)}, tls=tls) as server:
        error = failure(server.url.replace("127.0.0.1", "localhost"), ca_file=AUTHORITY)
    assert error.error_code == "API_TLS_FAILED"
    assert "certificate is not valid for 'localhost'" in error.message


def test_tls_with_a_known_authority_reuses_its_connections(tls: ssl.SSLContext) -> None:
    with DemoServer({"clients": rows(55)}, tls=tls) as server:
        assert ids(read(server, ca_file=AUTHORITY)) == list(range(1, 56))


@pytest.mark.parametrize(("status", "code"), [(401, "CREDENTIALS_REFUSED"), (403, "PERMISSION_MISSING")])
def test_refused_credentials(status: int, code: str) -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=status)
        with pytest.raises(CredentialsRefused, match=str(status)) as raised:
            read(server)
        assert (raised.value.error_type, raised.value.error_code) == ("api_connection_failed", code)
        assert "/clients" in raised.value.message
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(404, "API_NOT_FOUND"), (410, "API_NOT_FOUND"), (400, "API_REQUEST_REJECTED")]
)
def test_a_rejected_request_is_not_sent_again(status: int, code: str) -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=status)
        with pytest.raises(RequestRejected, match=f"/clients answered {status}") as raised:
            read(server)
        assert raised.value.error_code == code
        assert isinstance(raised.value, PermanentError)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_storm_of_server_errors_uses_the_retries_up(status: int) -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=status)
        error = failure(server, retries=3)
        assert error.error_code == "API_SERVER_ERROR"
        assert f"answered {status}" in error.message
        assert error.retry_after is None
        assert len(server.requests) == 4


@pytest.mark.parametrize("kind", ["status", "reset", "cut"])
def test_a_failure_that_passes_costs_nothing(kind: str) -> None:
    with DemoServer({"clients": rows(55)}) as server:
        server.fail(kind, page=3, times=2)
        assert ids(read(server)) == list(range(1, 56))


def test_each_page_has_the_whole_budget_of_retries() -> None:
    with DemoServer({"clients": rows(55)}) as server:
        for page in range(1, 7):
            server.fail("status", page=page, times=2)
        assert ids(read(server, retries=2)) == list(range(1, 56))


def test_unavailable_until_a_named_time_is_not_asked_again() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=503, headers={"Retry-After": "120"})
        assert failure(server).retry_after == 120
        assert len(server.requests) == 1


def test_a_request_timeout_of_the_api_is_a_timeout() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("status", status=408)
        assert failure(server).error_code == "API_TIMEOUT"
        assert len(server.requests) == 3


def test_a_hanging_api_times_out() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("hang")
        error = failure(server, timeout=0.1, retries=1)
        assert error.error_code == "API_TIMEOUT"
        assert error.message.endswith("no answer within 0.1 seconds")
        assert len(server.requests) == 2


def test_an_answer_that_drips_in_for_ever_times_out() -> None:
    with DemoServer({"clients": rows(10)}) as server:
        server.fail("drip", seconds=0.05)
        assert failure(server, timeout=0.2, retries=0).error_code == "API_TIMEOUT"


@pytest.mark.parametrize("amount", [0, 1, 40])
def test_a_connection_cut_in_mid_body(amount: int) -> None:
    with DemoServer({"clients": rows(10)}) as server:
        server.fail("cut", amount=amount)
        assert failure(server).error_code == "API_CONNECTION_CUT"
        assert len(server.requests) == 3


def test_a_connection_cut_in_a_chunked_body() -> None:
    def answer(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n[{")

    with raw_server(answer) as url:
        assert failure(url).error_code == "API_CONNECTION_CUT"


def test_a_connection_cut_before_an_answer() -> None:
    with raw_server(read_head) as url:  # type: ignore[arg-type]
        error = failure(url)
    assert error.error_code == "API_CONNECTION_CUT"
    assert "before an answer came" in error.message


@pytest.mark.parametrize(
    "reply", [b"220 smtp.example.com ESMTP\r\n", b"\x00\x01\x02\r\n\r\n", b"HTTP/9.9 hello\r\n\r\n"]
)
def test_something_that_does_not_speak_http(reply: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(reply)

    with raw_server(answer) as url:
        assert failure(url).error_code == "API_NOT_HTTP"


def test_idle_connections_that_the_api_closed_cost_no_retry() -> None:
    """Every connection is good for one answer, although the API does not say so."""

    def answer(connection: socket.socket) -> None:
        page = int(read_head(connection).split(b"page=")[1].split(b"&")[0])
        connection.sendall(http_answer(b'{"data": [{"id": %d}], "total": 30, "per_page": 1}' % page))
        connection.shutdown(socket.SHUT_WR)
        read_head(connection)

    with raw_server(answer) as url:
        assert ids(read(url, page_size=1, retries=0, concurrency=1)) == list(range(1, 31))


def test_an_api_that_serves_one_connection_at_a_time_is_read_to_its_end() -> None:
    """Others wait until the first one ends, so those that idle must be given up."""
    only = threading.Lock()

    def answer(connection: socket.socket) -> None:
        with only:
            while head := read_head(connection):
                page = int(head.split(b"page=")[1].split(b"&")[0])
                connection.sendall(http_answer(b'{"data": [{"id": %d}], "total": 12, "per_page": 1}' % page))

    with raw_server(answer) as url:
        assert ids(read(url, page_size=1, retries=3, timeout=0.3)) == list(range(1, 13))


def test_the_codes_and_names_of_another_api() -> None:
    error = failure(closed_port(), name="Cliniko API", code_prefix="CLINIKO_API")
    assert error.error_code == "CLINIKO_API_UNREACHABLE"
    assert "Cliniko API" in error.message


def test_ping_tells_how_long_one_cheap_request_took() -> None:
    with DemoServer({"clients": rows(50)}) as server:
        assert source(server).ping() > 0
        assert [dict(request.params) for request in server.requests] == [{"page": "1", "per_page": "1"}]
        server.requests.clear()
        server.fail("status", status=500)
        with pytest.raises(ConnectionFailed):
            source(server).ping()
        assert len(server.requests) == 1


def test_connections_are_reused() -> None:
    accepted: list[int] = []

    def answer(connection: socket.socket) -> None:
        accepted.append(connection.fileno())
        while head := read_head(connection):
            page = int(head.split(b"page=")[1].split(b"&")[0])
            connection.sendall(http_answer(b'{"data": [{"id": %d}], "total": 100, "per_page": 1}' % page))

    with raw_server(answer) as url:
        assert len(ids(read(url, page_size=1, concurrency=4))) == 100
    assert len(accepted) == 4


def test_a_single_page_is_one_request() -> None:
    def app(request: Request) -> Answer:
        return Answer.json(rows(500))

    with DemoServer(app=app) as server:
        assert len(ids(read(server, paginator=SinglePage()))) == 500
        assert asked(server) == [None]
