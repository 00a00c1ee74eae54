"""Several pages at once: in order, bounded, ended at once. Pages that shift, repeat or never end."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
from typing import Any

import pytest

from syncapp.connectors.rest import Auto, Cursor, Offset, PageNumber
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.server import DemoServer
from syncapp.errors import ConnectionFailed, InvalidData
from syncapp.ports import ReadRequest
from tests.rest import asked, http_answer, ids, raw_server, read, read_head, rows, source
from tests.waiting import wait_for


def numbered_pages(connection: socket.socket, total: int) -> None:
    """Answers with one record a page, for as long as the caller wants more."""
    while head := read_head(connection):
        page = int(head.split(b"page=")[1].split(b"&")[0])
        connection.sendall(http_answer(b'{"data": [{"id": %d}], "total": %d, "per_page": 1}' % (page, total)))


@pytest.mark.parametrize("style", ["total", "link", "links", "offset", "cursor"])
def test_pages_come_in_order_however_late_they_are(style: str) -> None:
    with DemoServer({"clients": rows(95)}, style=style) as server:
        for page in (3, 5, 8):
            server.fail("delay", page=page, seconds=0.05)
        paginator = Offset() if style == "offset" else Auto()
        assert ids(read(server, concurrency=4, paginator=paginator)) == list(range(1, 96))
        assert len(server.requests) == 10


def test_pages_are_under_way_at_once() -> None:
    """The API answers pages 4 to 7 only when it has been asked for all of them."""
    together = threading.Barrier(4)

    def answer(connection: socket.socket) -> None:
        while head := read_head(connection):
            page = int(head.split(b"page=")[1].split(b"&")[0])
            if 4 <= page <= 7:
                together.wait(20)
            connection.sendall(http_answer(b'{"data": [{"id": %d}], "total": 10, "per_page": 1}' % page))

    with raw_server(answer) as url:
        assert ids(read(url, page_size=1, concurrency=4, timeout=30.0)) == list(range(1, 11))


@pytest.mark.parametrize(
    ("style", "concurrency", "most"), [("total", 4, 4), ("link", 3, 3), ("total", 1, 1), ("cursor", 8, 1)]
)
def test_never_more_requests_under_way_than_allowed(style: str, concurrency: int, most: int) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(DemoServer({"clients": rows(200)}, style=style))
        pages = stack.enter_context(contextlib.closing(source(server, concurrency=concurrency).read(ReadRequest())))
        for delivered, _ in enumerate(pages, start=1):
            assert len(server.requests) <= delivered + most


def test_nothing_is_sent_ahead_where_none_is_wanted() -> None:
    with DemoServer({"clients": rows(50)}) as server:
        for delivered, _ in enumerate(source(server, concurrency=0).read(ReadRequest()), start=1):
            assert len(server.requests) == delivered


def test_a_failure_ahead_waits_for_its_turn() -> None:
    with DemoServer({"clients": rows(95)}) as server:
        server.fail("html", page=6)
        delivered: list[Any] = []
        with pytest.raises(InvalidData):
            delivered.extend(source(server).read(ReadRequest()))
        assert ids(delivered) == list(range(1, 51))


def waiting_reader(server: DemoServer, **config: Any) -> tuple[Any, threading.Thread, list[BaseException]]:
    """A reader that hangs in its first page, in a thread of its own."""
    pages = source(server, timeout=60.0, **config).read(ReadRequest())
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            list(pages)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    wait_for(lambda: len(server.requests) > 0, what="the request")
    return pages, thread, errors


@pytest.mark.parametrize(("kind", "retries"), [("hang", 0), ("drip", 0), ("status", 9)])
def test_closing_a_reader_ends_its_wait_in_another_thread(kind: str, retries: int) -> None:
    with DemoServer({"clients": rows(500)}) as server:
        server.fail(kind, seconds=5.0)
        pages, thread, errors = waiting_reader(server, retries=retries, backoff=60.0, backoff_max=60.0)
        pages.close()
        thread.join(20)
        assert not thread.is_alive()
        assert isinstance(errors[0], ConnectionFailed)
        assert errors[0].error_code == "API_READ_STOPPED"


def test_a_reader_closed_between_two_pages_leaves_nothing_and_never_looks_complete() -> None:
    threads = threading.active_count()
    ended = threading.Semaphore(0)

    def answer(connection: socket.socket) -> None:
        try:
            numbered_pages(connection, 100)
        finally:
            ended.release()

    with raw_server(answer) as url:
        pages = source(url, page_size=1, concurrency=4).read(ReadRequest())
        assert [next(pages).records[0]["id"] for _ in range(5)] == [1, 2, 3, 4, 5]
        pages.close()
        pages.close()
        with pytest.raises(ConnectionFailed, match="stopped"):
            next(pages)
        for _ in range(4):
            assert ended.acquire(timeout=20)
    assert threading.active_count() == threads


def test_a_reader_that_is_forgotten_closes_its_connections() -> None:
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        try:
            numbered_pages(connection, 100)
        finally:
            ended.set()

    with raw_server(answer) as url:
        pages = source(url, page_size=1, concurrency=1).read(ReadRequest())
        next(pages)
        del pages
        gc.collect()
        assert ended.wait(20)


def test_the_end_of_a_read_stays_the_end() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        pages = source(server).read(ReadRequest())
        assert len(list(pages)) == 1
        assert list(pages) == []
        pages.close()
        assert list(pages) == []


@pytest.mark.parametrize("style", ["total", "header_total", "offset"])
@pytest.mark.parametrize("gone", [1, 3, 10, 25])
@pytest.mark.parametrize("concurrency", [0, 1, 8])
def test_records_that_shift_while_they_are_read_are_all_seen(style: str, gone: int, concurrency: int) -> None:
    """Some vanish from the front before page 5 is served: those behind move up, past the border of the page."""
    with DemoServer({"clients": rows(100)}, style=style) as server:
        server.fail("shift", amount=gone, after=4, times=1)
        paginator = Offset() if style == "offset" else Auto()
        seen = ids(read(server, concurrency=concurrency, paginator=paginator))
        assert set(seen) >= set(range(gone + 1, 101))


def test_records_that_shift_between_two_attempts_are_all_seen() -> None:
    with DemoServer({"clients": rows(100)}) as server:
        pages = read(server)
        del server.records["clients"][:12]
        assert set(ids(pages[:4]) + ids(read(server, position=pages[3].position))) == set(range(1, 101))


def test_a_last_page_that_shifted_away_is_no_loss() -> None:
    with DemoServer({"clients": rows(21)}) as server:
        server.fail("shift", page=3, amount=1, times=1)
        assert set(ids(read(server, concurrency=0))) == set(range(1, 22))


def test_records_added_at_the_end_while_they_are_read_are_seen() -> None:
    with DemoServer({"clients": rows(25)}) as server, contextlib.closing(source(server).read(ReadRequest())) as pages:
        seen = ids([next(pages)])
        with server.lock:
            server.records["clients"] += [{"id": number} for number in range(26, 66)]
        assert set(seen + ids(pages)) >= set(range(1, 26))


def test_a_source_that_shifts_faster_than_it_can_be_read_is_no_endless_read() -> None:
    with DemoServer({"clients": rows(5000)}) as server:
        server.fail("shift", amount=1)
        with pytest.raises(ConnectionFailed) as raised:
            read(server)
        assert raised.value.error_code == "API_PAGES_SHIFT"


def test_duplicate_ids_within_and_across_pages_are_handed_over() -> None:
    records = [{"id": number // 2} for number in range(40)]
    with DemoServer({"clients": records}) as server:
        assert ids(read(server)) == [record["id"] for record in records]


@pytest.mark.parametrize("style", ["total", "header_total", "link", "links", "cursor", "offset"])
def test_the_same_page_for_ever_is_noticed(style: str) -> None:
    with DemoServer({"clients": rows(55)}, style=style) as server:
        server.fail("loop")
        paginator = Offset() if style == "offset" else Auto()
        with pytest.raises(InvalidData, match="never end") as raised:
            read(server, concurrency=0, paginator=paginator)
        assert raised.value.error_code == "API_PAGE_LOOP"
        assert len(server.requests) <= 3


def test_an_api_that_repeats_its_last_page_has_ended() -> None:
    def app(request: Request) -> Answer:
        number = min(request.number("page", 1), 3)
        return Answer.json(rows(25)[(number - 1) * 10 : number * 10])

    with DemoServer(app=app) as server:
        pages = read(server)
        assert ids(pages) == list(range(1, 26))
        assert pages[-1].position is None


def test_links_that_lead_in_a_circle_are_noticed() -> None:
    following = {"1": 2, "2": 3, "3": 2}

    def app(request: Request) -> Answer:
        page = request.params.get("page", "1")
        return Answer.json({"data": [{"id": page}], "links": {"next": f"/clients?page={following[page]}"}})

    with DemoServer(app=app) as server:
        with pytest.raises(InvalidData, match="never end"):
            read(server)
        assert len(server.requests) <= 4


def test_cursors_that_never_end_on_empty_pages_are_noticed() -> None:
    def app(request: Request) -> Answer:
        return Answer.json({"data": [], "next_cursor": str(request.number("cursor", 0) + 1)})

    with DemoServer(app=app) as server:
        with pytest.raises(InvalidData, match="never end"):
            read(server, paginator=Cursor())
        assert len(server.requests) <= 101


def test_empty_pages_on_the_way_are_no_end_where_a_cursor_promises_more() -> None:
    def app(request: Request) -> Answer:
        number = request.number("cursor", 0)
        data = [{"id": 1}] if number == 20 else []
        return Answer.json({"data": data, "next_cursor": None if number == 20 else str(number + 1)})

    with DemoServer(app=app) as server:
        assert ids(read(server, paginator=Cursor())) == [1]


def test_a_read_is_no_longer_than_allowed() -> None:
    def app(request: Request) -> Answer:
        return Answer.json([{"id": request.number("page", 1)}])

    with DemoServer(app=app) as server:
        with pytest.raises(InvalidData, match="never end"):
            read(server, paginator=PageNumber(), max_pages=30)
        assert len(server.requests) <= 31


def test_links_that_are_not_what_they_seem_stop_the_guessing() -> None:
    """The next link has a number of its own on every page, so that no guess ever fits."""

    def app(request: Request) -> Answer:
        page = request.number("page", 1)
        links = f'</clients?page={page + 1}&nonce={page * 7}>; rel="next", </clients?page=40>; rel="last"'
        return Answer.json([{"id": page}], headers={"Link": links if page < 40 else '</clients?page=1>; rel="first"'})

    with DemoServer(app=app) as server:
        assert ids(read(server)) == list(range(1, 41))
        late = sorted(page for page in map(int, asked(server)) if page > 20)
        assert late == list(range(21, 41))
