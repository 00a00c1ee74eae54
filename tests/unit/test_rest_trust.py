"""Credentials: where they go, and where they never go."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest

from syncapp.connectors.rest import ApiKey, Basic, Bearer, RestConfig
from syncapp.connectors.rest.header import make_header
from syncapp.connectors.rest.links import link_header
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.server import DemoServer
from syncapp.errors import InvalidData, RequestRejected, SyncError
from tests.rest import KEY, ids, read, rows


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (Bearer(KEY), "authorization", f"Bearer {KEY}"),
        (Bearer(f" {KEY}\n"), "authorization", f"Bearer {KEY}"),
        (Bearer(f"token={KEY}", scheme="Token"), "authorization", f"Token token={KEY}"),
        (ApiKey(KEY), "x-api-key", KEY),
        (ApiKey(KEY, name="X-Other"), "x-other", KEY),
        (Basic("user", KEY), "authorization", "Basic " + base64.b64encode(f"user:{KEY}".encode()).decode()),
        (Basic(KEY), "authorization", "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()),
    ],
)
def test_credentials_in_a_header(auth: Any, header: str, value: str) -> None:
    with DemoServer({"clients": rows(25)}) as server:
        read(server, auth=auth)
        assert [request.headers[header] for request in server.requests] == [value] * 3


@pytest.mark.parametrize(
    ("url", "headers", "host"),
    [
        ("https://api.example.com", (), "api.example.com"),
        ("http://api.example.com:8080/v1", (), "api.example.com:8080"),
        ("http://[::1]:8080", (), "[::1]:8080"),
        ("https://bücher.example", (), "xn--bcher-kva.example"),
        ("https://例え.jp", (), "xn--r8jz45g.jp"),
        ("http://127.0.0.1:8080", (("host", "api.example.com"),), "api.example.com"),
    ],
)
def test_the_host_is_named_once(url: str, headers: tuple[tuple[str, str], ...], host: str) -> None:
    lines = make_header(RestConfig(url, "clients", headers=headers)).decode().split("\r\n")
    assert [line.partition(": ")[2] for line in lines if line.lower().startswith("host:")] == [host]


def test_no_header_breaks_out_of_its_line() -> None:
    with pytest.raises(ValueError, match="line break"):
        make_header(RestConfig("http://host", "clients", headers=(("X-A", "1\r\nX-B: 2"),)))


def test_a_key_in_the_query_goes_along_but_not_into_positions() -> None:
    """The API repeats the whole query in its links, as many do."""
    with DemoServer({"clients": rows(25)}, style="links") as server:
        pages = read(server, auth=ApiKey(f"{KEY}/&", name="key", place="query"))
        assert [request.params["key"] for request in server.requests] == [f"{KEY}/&"] * 3
        assert KEY not in repr([page.position for page in pages])
        assert ids(read(server, auth=ApiKey("new", name="key", place="query"), position=pages[0].position)) == [
            *range(11, 26)
        ]
        assert server.requests[-1].params["key"] == "new"


@pytest.mark.parametrize("secret", ["two\r\nlines", "nul\x00", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="credentials") as raised:
        RestConfig("http://host", "clients", auth=Bearer(secret))
    assert secret not in str(raised.value)


@pytest.mark.parametrize("auth", [Bearer(KEY), ApiKey(KEY), ApiKey(KEY, place="query"), Basic("user", KEY), Basic(KEY)])
@pytest.mark.parametrize("kind", ["status", "html", "envelope", "hang", "reset", "redirect", "truncate"])
def test_no_failure_tells_a_secret(auth: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pair = auth.pair if isinstance(auth, Basic) else KEY
    with DemoServer({"clients": rows(1)}) as server:
        server.fail(kind, text=f"//x/?{pair}&{KEY}", amount=20)  # short enough to be repeated as a whole
        with pytest.raises(SyncError) as raised:
            read(server, auth=auth, timeout=0.05, retries=0)
    for said in (str(raised.value), repr(raised.value), caplog.text, repr(auth)):
        assert KEY not in said
        assert pair not in said


@pytest.mark.parametrize("style", ["links", "link"])
@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{port}/clients?page=2", "//evil.example/clients", "http://127.0.0.1:1/clients", "ftp://x/"],
)
def test_a_next_page_on_another_host_is_refused(style: str, target: str) -> None:
    with DemoServer() as server:
        link = target.format(port=server.port)

        def app(_: Request) -> Answer:
            if style == "link":
                return Answer.json(rows(2), headers={"Link": f'<{link}>; rel="next"'})
            return Answer.json({"data": rows(2), "links": {"next": link}})

        server.app = app
        with pytest.raises(InvalidData, match="another host") as raised:
            read(server, auth=Bearer(KEY))
        assert raised.value.error_code == "API_FOREIGN_LINK"
        assert len(server.requests) == 1


def test_a_next_page_of_which_a_proxy_hid_scheme_and_port_is_ours() -> None:
    with DemoServer({"clients": rows(25)}, style="links") as server:
        inner = server.app

        def app(request: Request) -> Answer:
            answer = inner(request)
            return Answer(answer.body.replace(b"http://127.0.0.1", b"HTTP://127.0.0.1"))

        server.app = app
        assert ids(read(server)) == list(range(1, 26))


@pytest.mark.parametrize("style", ["links", "link"])
@pytest.mark.parametrize("host", ["https://api.example.com", "http://API.example.com:8080", "//api.example.com"])
def test_an_api_behind_a_proxy_may_write_its_own_name_into_its_links(style: str, host: str) -> None:
    with DemoServer({"clients": rows(25)}, style=style) as server:
        inner, own = server.app, server.url

        def app(request: Request) -> Answer:
            answer = inner(request)
            headers = {name: value.replace(own, host) for name, value in answer.headers.items()}
            return Answer(answer.body.replace(own.encode(), host.encode()), headers=headers)

        server.app = app
        hosts = ("other.example.com", "Api.example.com")
        pages = read(server, auth=ApiKey(KEY, place="query"), link_hosts=hosts)
        assert ids(pages) == list(range(1, 26))
        assert len(server.requests) == 3  # all of them here
        assert host not in repr([page.position for page in pages])
        with pytest.raises(InvalidData, match="another host"):
            read(server, link_hosts=("example.com", "api.example.com.evil.example"))


def test_a_host_of_links_is_no_host_of_redirects() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("redirect", text="http://api.example.com/clients")
        with pytest.raises(RequestRejected) as raised:
            read(server, link_hosts=("api.example.com",))
        assert raised.value.error_code == "API_REDIRECT_REFUSED"
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_on_the_same_host_are_followed(status: int) -> None:
    with DemoServer({"clients": [], "people": rows(5)}, style="header_total") as server:
        server.fail("redirect", path="/clients", status=status, text="/people")
        assert ids(read(server, auth=Bearer(KEY))) == [1, 2, 3, 4, 5]
        assert server.requests[1].path == "/people"
        assert server.requests[1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "to", ["http://127.0.0.2:{port}/clients", "https://127.0.0.1:{port}/clients", "//x.example", ""]
)
def test_redirects_elsewhere_are_refused(to: str) -> None:
    with DemoServer({"clients": rows(1)}) as server, DemoServer({"clients": rows(1)}) as other:
        server.fail("redirect", text=to.format(port=other.port))
        with pytest.raises(RequestRejected) as raised:
            read(server, auth=Bearer(KEY))
        assert raised.value.error_code == "API_REDIRECT_REFUSED"
        assert not other.requests


def test_redirects_without_end_are_given_up() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("redirect", text="/clients?again")
        with pytest.raises(RequestRejected, match="without end"):
            read(server)
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (
            '<https://h/a?page=2>; rel="next", <https://h/a?page=9>; rel="last"',
            {"next": "https://h/a?page=2", "last": "https://h/a?page=9"},
        ),
        ("</a,b;c?x=1>;rel=next", {"next": "/a,b;c?x=1"}),
        ('</a>; title="x, <b>; rel=prev"; rel="next prefetch"', {"next": "/a", "prefetch": "/a"}),
        ('</a>; REL="NEXT"; type="x"', {"next": "/a"}),
        ('</a>; rel="next", </b>; rel="next"', {"next": "/a"}),
        ("</a>", {}),
        ("", {}),
        (None, {}),
        ("<" * 60_000, {}),
        ("nonsense; rel=next", {}),
    ],
)
def test_link_headers(text: str | None, links: dict[str, str]) -> None:
    assert link_header(text) == links
