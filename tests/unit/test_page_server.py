"""The benchmark's page server, asked over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import urllib3

from benchmarks.records import CHANGED_EVERY, make_data_sets, make_records
from benchmarks.server import PageServer, start_server

COUNT = 1_050


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[PageServer, dict[str, Any]]]:
    server, facts = start_server(COUNT, seed=1, page_sizes=[100, 1_000], latency=0.001)
    yield server, facts
    server.close()


@pytest.fixture
def pool(served: tuple[PageServer, dict[str, Any]]) -> Iterator[urllib3.HTTPConnectionPool]:
    with urllib3.connection_from_url(served[0].url, retries=False, timeout=10) as made:
        yield made


def ask(pool: urllib3.HTTPConnectionPool, target: str) -> dict[str, Any]:
    answer = pool.request("GET", target)
    assert answer.status == 200
    found: dict[str, Any] = orjson.loads(answer.data)
    return found


@pytest.mark.parametrize("place", ["/base", "/slow/base"])
@pytest.mark.parametrize("size", [100, 1_000])
def test_all_records_come_once_over_one_connection(pool: urllib3.HTTPConnectionPool, place: str, size: int) -> None:
    seen: list[str] = []
    for number in range(1, -(-COUNT // size) + 1):
        page = ask(pool, f"{place}/records?page={number}&per_page={size}")
        assert (page["page"], page["per_page"], page["total"]) == (number, size, COUNT)
        seen += [record["id"] for record in page["data"]]
    assert len(seen) == len(set(seen)) == COUNT
    assert pool.num_connections == 1


def test_behind_the_last_page_there_is_nothing(pool: urllib3.HTTPConnectionPool) -> None:
    assert ask(pool, "/base/records?page=99&per_page=100") == {"data": [], "total": COUNT}


@pytest.mark.parametrize("target", ["/base/records?page=1&per_page=7", "/other/records", "/", "/base/records?page=x"])
def test_what_is_not_there(pool: urllib3.HTTPConnectionPool, target: str) -> None:
    answer = pool.request("GET", target)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")


def test_the_answer_tells_the_time(pool: urllib3.HTTPConnectionPool) -> None:
    assert pool.request("GET", "/base/records?page=1&per_page=100").headers["Date"].endswith("GMT")


def test_requests_may_come_all_at_once_and_in_pieces(served: tuple[PageServer, dict[str, Any]]) -> None:
    host, port = served[0].url.removeprefix("http://").split(":")
    request = b"GET /base/records?page=99&per_page=100 HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request + request[:20])
        connection.sendall(request[20:])
        received = b""
        while received.count(b'"total"') < 2:
            chunk = connection.recv(65_536)
            assert chunk
            received += chunk
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2


def test_the_data_sets_differ_in_one_record_of_a_hundred(served: tuple[PageServer, dict[str, Any]]) -> None:
    sets = make_data_sets(COUNT, seed=1)
    base, changed = ([orjson.loads(line) for line in sets[name].lines] for name in ("base", "changed"))
    differing = [number for number, pair in enumerate(zip(base, changed, strict=True)) if pair[0] != pair[1]]
    assert differing == list(range(0, COUNT, CHANGED_EVERY))
    assert all(changed[number]["updated_at"] > base[number]["updated_at"] for number in differing)
    expected = served[1]["expected"]
    assert expected["changed"]["visits"] == expected["base"]["visits"] + len(differing)
    assert expected["base"] == {
        "records": COUNT,
        "visits": sum(record["visits"] for record in base),
        "newest": max(record["updated_at"] for record in base),
    }


def test_records_are_the_same_for_the_same_seed_and_of_the_size_that_was_agreed() -> None:
    assert list(make_records(50, seed=3)) == list(make_records(50, seed=3)) != list(make_records(50, seed=4))
    sizes = [len(orjson.dumps(record)) for record in make_records(500, seed=1)]
    assert 440 < sum(sizes) / len(sizes) < 460
