"""Every way in which an API pages, found out or configured; going on after an interruption; what a page tells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from syncapp.connectors.rest import (
    Auto,
    Cursor,
    HeaderLink,
    JsonLink,
    Offset,
    PageNumber,
    RestConfig,
    SinglePage,
)
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.listing import STYLES
from syncapp.demo.server import DemoServer
from syncapp.errors import InvalidData, RequestRejected
from tests.rest import asked, ids, read, rows

CONFIGURED: list[tuple[str, Any]] = [
    ("total", PageNumber()),
    ("header_total", PageNumber()),
    ("pages", PageNumber()),
    ("link", HeaderLink()),
    ("links", JsonLink()),
    ("cursor", Cursor()),
    ("offset", Offset()),
    ("array", SinglePage()),
]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100, 105])
@pytest.mark.parametrize("style", STYLES)
def test_every_record_once_and_in_order_however_the_api_pages(style: str, count: int) -> None:
    with DemoServer({"clients": rows(count)}, style=style) as server:
        pages = read(server)
        assert ids(pages) == list(range(1, count + 1))
        assert pages[-1].position is None
        assert all(page.position is not None for page in pages[:-1])


@pytest.mark.parametrize(("style", "paginator"), CONFIGURED)
def test_every_record_once_with_a_configured_paginator(style: str, paginator: Any) -> None:
    with DemoServer({"clients": rows(55)}, style=style) as server:
        assert ids(read(server, paginator=paginator)) == list(range(1, 56))


@pytest.mark.parametrize(
    ("style", "paginator"), [(style, Auto()) for style in STYLES if style != "array"] + CONFIGURED[:-1]
)
def test_a_read_goes_on_exactly_where_an_earlier_one_stood(style: str, paginator: Any) -> None:
    with DemoServer({"clients": rows(45)}, style=style) as server:
        pages = read(server, paginator=paginator)
        for number, page in enumerate(pages[:-1], start=1):
            position = orjson.loads(orjson.dumps(page.position))
            rest = read(server, paginator=paginator, position=position)
            assert ids(pages[:number]) + ids(rest) == list(range(1, 46))


@pytest.mark.parametrize(
    "position", [7, "x", [], {}, {"by": "json_link", "next": "https://elsewhere"}, {"by": "page_number"}]
)
def test_a_position_that_means_nothing_begins_at_the_first_page(position: Any) -> None:
    with DemoServer({"clients": rows(25)}) as server:
        assert ids(read(server, position=position)) == list(range(1, 26))
        assert ids(read(server, position=position, paginator=PageNumber())) == list(range(1, 26))


def test_a_position_of_another_paginator_begins_at_the_first_page() -> None:
    with DemoServer({"clients": rows(25)}, style="offset") as server:
        assert ids(read(server, position={"by": "page_number", "params": {"page": 3}}, paginator=Offset()))[0] == 1


def test_a_page_that_describes_itself_says_nothing_of_the_others() -> None:
    """Its `total` counts pages. Spring's `totalElements` counts records."""

    def app(request: Request) -> Answer:
        page, size = request.number("page", 1), 10
        told = {"number": page, "size": size, "total": 3} | ({"totalElements": 25} if spring else {})
        return Answer.json({"clients": rows(25)[(page - 1) * size : page * size], "page": told})

    for spring in (False, True):
        with DemoServer(app=app) as server:
            assert ids(read(server)) == list(range(1, 26))
            assert len(server.requests) == (3 if spring else 4)


def test_since_goes_along_with_every_page() -> None:
    with DemoServer({"clients": rows(25)}) as server:
        server.records["clients"][3]["updated_at"] = "2026-02-01T00:00:00Z"
        assert ids(read(server, since="2026-01-15T10:00:00.250000+02:00")) == [4]
        assert asked(server, "updated_since") == ["2026-01-15T08:00:00.250000Z"]
        server.requests.clear()
        assert len(ids(read(server, since="2026-01-01T00:00:00Z"))) == 25  # >=, not >
        assert asked(server, "updated_since") == ["2026-01-01T00:00:00Z"] * 3


@pytest.mark.parametrize(
    ("form", "sent"),
    [("date", "2026-01-15"), ("epoch", "1768471200"), ("epoch_ms", "1768471200000"), ("%d.%m.%Y", "15.01.2026")],
)
def test_since_in_other_forms_under_another_name(form: str, sent: str) -> None:
    with DemoServer({"clients": rows(1)}) as server:
        read(server, since="2026-01-15T10:00:00Z", since_param="changed_after", since_format=form)
        assert asked(server, "changed_after") == [sent]
        read(server, since="2026-01-15T10:00:00Z", since_param=None)
        assert server.requests[-1].params == {"page": "1", "per_page": "10"}


def test_other_names_of_the_paging_parameters() -> None:
    def app(request: Request) -> Answer:
        number, size = int(request.params["p"]), int(request.params["limit"])
        return Answer.json({"data": rows(25)[number * size : (number + 1) * size]})

    with DemoServer(app=app) as server:
        pages = read(server, paginator=PageNumber("p", "limit", first_page=0), params=(("sort", "id"),))
        assert ids(pages) == list(range(1, 26))
        assert asked(server, "p") == ["0", "1", "2", "3"]
        assert asked(server, "sort") == ["id"] * 4


def test_an_api_that_caps_the_page_size_is_read_to_its_end() -> None:
    def app(request: Request) -> Answer:
        number = request.number("page", 1)
        return Answer.json({"clients": rows(25)[(number - 1) * 4 : number * 4], "total": 25})

    with DemoServer(app=app) as server:
        assert ids(read(server)) == list(range(1, 26))


def test_a_total_that_counts_the_page_alone_is_not_believed() -> None:
    def app(request: Request) -> Answer:
        number = request.number("page", 1)
        page = rows(25)[(number - 1) * 10 : number * 10]
        return Answer.json({"data": page, "total": len(page)})

    with DemoServer(app=app) as server:
        pages = read(server)
        assert ids(pages) == list(range(1, 26))
        assert {page.total for page in pages} == {None}


def test_an_only_page_whose_second_one_is_not_found_is_everything() -> None:
    def app(request: Request) -> Answer:
        return Answer.json(rows(5)) if request.number("page", 1) == 1 else Answer.json({"detail": "Invalid page"}, 404)

    with DemoServer(app=app) as server:
        pages = read(server)
        assert ids(pages) == [1, 2, 3, 4, 5]
        assert pages[-1].position is None


def test_a_full_page_whose_second_one_is_not_found_is_an_error() -> None:
    def app(request: Request) -> Answer:
        return Answer.json(rows(10)) if request.number("page", 1) == 1 else Answer.json({}, 404)

    with DemoServer(app=app) as server, pytest.raises(RequestRejected):
        read(server)


def test_an_empty_page_is_not_the_end_where_more_was_promised() -> None:
    def app(request: Request) -> Answer:
        return Answer.json({"clients": rows(10) if request.number("page", 1) == 1 else [], "total": 30})

    with DemoServer(app=app) as server:
        with pytest.raises(InvalidData, match="promised 30 records") as raised:
            read(server)
        assert raised.value.error_code == "API_EMPTY_PAGE"
        assert ids(read(server, since="2026-01-01T00:00:00Z")) == list(range(1, 11))  # such totals ignore the filter


def test_has_more_ends_numbered_pages() -> None:
    def app(request: Request) -> Answer:
        number = request.number("page", 1)
        return Answer.json({"data": rows(30)[(number - 1) * 10 : number * 10], "has_more": number < 3})

    with DemoServer(app=app) as server:
        assert ids(read(server)) == list(range(1, 31))
        assert asked(server) == ["1", "2", "3"]


def test_relative_and_query_only_next_links() -> None:
    def app(request: Request) -> Answer:
        number = request.number("page", 1)
        link = {1: "?page=2", 2: "clients?page=3", 3: "/v1/clients?page=4", 4: ""}[number]
        return Answer.json({"data": rows(8)[(number - 1) * 2 : number * 2], "next": link or None})

    with DemoServer(app=app) as server:
        assert ids(read(f"{server.url}/v1")) == list(range(1, 9))
        assert {request.path for request in server.requests} == {"/v1/clients"}


@pytest.mark.parametrize(
    ("body", "selector"),
    [
        ([{"id": 1}], None),
        ({"clients": [{"id": 1}]}, None),
        ({"data": [{"id": 1}], "meta": {"total": 1}}, None),
        ({"result": {"people": [{"id": 1}]}, "data": []}, "result.people"),
    ],
)
def test_where_the_records_may_stand(body: Any, selector: str | None) -> None:
    with DemoServer(app=lambda _: Answer.json(body)) as server:
        assert ids(read(server, selector=selector, paginator=SinglePage())) == [1]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"data": [], "total": 7}, {}),
        ({"data": [], "total_count": "7"}, {}),
        ({"data": [], "meta": {"total": 7}}, {}),
        ({"data": [], "total_entries": 7}, {}),
        ([], {"X-Total": "7"}),
        ([], {"X-Total-Count": "7"}),
        ([], {"Total": "7"}),
    ],
)
def test_the_total_wherever_it_stands(body: Any, headers: dict[str, str]) -> None:
    with DemoServer(app=lambda _: Answer.json(body, headers=headers)) as server:
        assert read(server, paginator=SinglePage())[0].total == 7


@pytest.mark.parametrize("total", [True, -1, 1.5, "many", None, [7]])
def test_a_total_that_is_no_number_is_none(total: Any) -> None:
    with DemoServer(app=lambda _: Answer.json({"data": [], "total": total})) as server:
        assert read(server, paginator=SinglePage())[0].total is None


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("Mon, 30 Jun 2025 12:00:00 GMT", datetime(2025, 6, 30, 12, tzinfo=UTC)),
        ("Mon, 30 Jun 2025 12:00:00 -0000", datetime(2025, 6, 30, 12, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_sources_clock(date: str, time: datetime | None) -> None:
    with DemoServer(app=lambda _: Answer.json([], headers={"Date": date})) as server:
        assert read(server)[0].source_time == time


def test_records_of_any_json_type_are_handed_over_as_they_came() -> None:
    records = [None, 1, 2.5, "text", True, [], {"id": 1, "deep": {"a": [1, None]}}, {}]
    with DemoServer(app=lambda _: Answer.json(records)) as server:
        assert read(server, paginator=SinglePage())[0].records == records


def test_no_content_is_an_empty_read() -> None:
    with DemoServer(app=lambda _: Answer(status=204)) as server:
        pages = read(server)
        assert [page.records for page in pages] == [[]]
        assert pages[0].position is None


@pytest.mark.parametrize("url", ["ftp://host", "host", "https://user:secret@host", "https://host/?key=1", "https://"])
def test_an_address_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as raised:
        RestConfig(url, "clients")
    assert "secret" not in str(raised.value)
