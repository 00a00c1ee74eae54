"""Runs of the real clients sync against an HTTP upstream that misbehaves: the run says what came, and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from syncapp.demo.server import DemoServer
from syncapp.registry import find_sync
from tests.integration.engine import World, client, make_world
from tests.waiting import wait_for

KEY = "the-upstreams-key"


class HttpWorld(World):
    """The same world with the sync as the product has it."""

    find_sync = staticmethod(find_sync)  # type: ignore[assignment]


@pytest.fixture
def upstream() -> Iterator[DemoServer]:
    with DemoServer({"clients": [client(number) for number in range(1, 96)]}, api_key=KEY) as server:
        yield server


@pytest.fixture
def world(database_url: str, upstream: DemoServer) -> Iterator[World]:
    plain = make_world(
        database_url,
        [],
        mock_api_url=upstream.url,
        mock_api_key=KEY,
        external_api_page_size=10,
        external_api_retry_attempts=0,
        external_api_timeout=5.0,
    )
    world = HttpWorld(plain.database, plain.settings, plain.source)
    yield world
    world.database.dispose()


def live(world: World) -> set[int]:
    return {int(key) for key in world.rows()}


def test_every_record_arrives(world: World, upstream: DemoServer) -> None:
    run = world.sync_once()
    assert run["status"] == "completed"
    assert run["records_total"] == 95
    assert live(world) == set(range(1, 96))
    assert {request.headers["authorization"] for request in upstream.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("kind", "details", "error_type", "code"),
    [
        ("status", {"status": 401}, "api_connection_failed", "CREDENTIALS_REFUSED"),
        ("status", {"status": 403}, "api_connection_failed", "PERMISSION_MISSING"),
        ("status", {"status": 404}, "api_connection_failed", "API_NOT_FOUND"),
        ("html", {}, "invalid_data_format", "API_NOT_JSON"),
        ("truncate", {"amount": 50}, "invalid_data_format", "API_TRUNCATED_JSON"),
        ("envelope", {}, "invalid_data_format", "API_WRONG_ENVELOPE"),
        ("redirect", {"text": "https://elsewhere.example/"}, "api_connection_failed", "API_REDIRECT_REFUSED"),
        ("loop", {"page": None, "after": 1}, "invalid_data_format", "API_PAGE_LOOP"),
    ],
)
def test_an_answer_that_waiting_does_not_mend_fails_the_run_and_deletes_nothing(
    world: World, upstream: DemoServer, kind: str, details: dict[str, Any], error_type: str, code: str
) -> None:
    world.sync_once()
    upstream.fail(kind, **({"page": 4} | details))
    run = world.sync_once(full_refresh=True)
    assert (run["status"], run["error_type"], run["error_code"]) == ("failed", error_type, code)
    assert KEY not in run["error_message"]
    assert live(world) == set(range(1, 96))


@pytest.mark.parametrize(
    ("kind", "details", "code"),
    [
        ("status", {"status": 500}, "API_SERVER_ERROR"),
        ("cut", {}, "API_CONNECTION_CUT"),
        ("reset", {}, "API_CONNECTION_CUT"),
    ],
)
def test_a_failure_that_waiting_mends_goes_on_where_it_stood(
    world: World, upstream: DemoServer, kind: str, details: dict[str, Any], code: str
) -> None:
    upstream.fail(kind, page=6, times=2, **details)
    sync_id = world.trigger()
    assert world.execute(sync_id) == "retrying"
    assert world.run(sync_id)["error_code"] == code
    upstream.faults.clear()
    upstream.requests.clear()
    world.query("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s RETURNING sync_id", sync_id)
    assert world.execute(sync_id) == "completed"
    assert min(int(request.params["page"]) for request in upstream.requests) > 1
    assert world.run(sync_id)["records_processed"] == 95
    assert live(world) == set(range(1, 96))


def test_a_429_parks_the_run_until_the_time_that_was_named(world: World, upstream: DemoServer) -> None:
    upstream.fail("status", status=429, page=6, headers={"Retry-After": "120"}, times=1)
    sync_id = world.trigger()
    assert world.execute(sync_id) == "parked"
    [waiting] = world.query("SELECT extract(epoch FROM resume_at - now()) AS seconds FROM sync_runs")
    assert 60 < waiting["seconds"] <= 121
    world.query("UPDATE sync_runs SET resume_at = now() WHERE sync_id = %s RETURNING sync_id", sync_id)
    assert world.execute(sync_id) == "completed"
    assert world.run(sync_id)["records_processed"] == 95
    assert live(world) == set(range(1, 96))


@pytest.mark.parametrize("gone", [1, 10, 15])
def test_pages_that_shift_while_they_are_read_cost_nobody(world: World, upstream: DemoServer, gone: int) -> None:
    world.sync_once()
    upstream.fail("shift", amount=gone, page=5, times=1)
    run = world.sync_once(full_refresh=True)
    assert run["status"] == "completed"
    assert live(world) == set(range(1, 96))  # what vanished in mid-read is not believed to be gone yet
    upstream.faults.clear()
    assert world.sync_once(full_refresh=True)["records_deleted"] == gone
    assert live(world) == set(range(gone + 1, 96))


def test_an_upstream_that_is_suddenly_empty_deletes_nothing(world: World, upstream: DemoServer) -> None:
    world.sync_once()
    upstream.records["clients"].clear()
    run = world.sync_once(full_refresh=True)
    assert (run["status"], run["error_type"]) == ("failed", "mass_delete_refused")
    assert live(world) == set(range(1, 96))


def test_garbage_among_the_records_becomes_dead_letters(world: World, upstream: DemoServer) -> None:
    upstream.fail("garbage", page=3, amount=9)
    run = world.sync_once()
    assert run["status"] == "completed"
    assert run["records_failed"] == 9
    assert live(world) == set(range(1, 96))


def test_a_run_that_hangs_in_a_page_ends_as_soon_as_it_is_cancelled(world: World, upstream: DemoServer) -> None:
    """The upstream would keep it waiting for ten minutes."""
    patient = world.settings.model_copy(update={"external_api_timeout": 600.0, "lease_seconds": 1.0})
    world.settings = patient
    upstream.fail("hang", page=6)
    sync_id = world.trigger()
    outcome: list[str] = []
    thread = threading.Thread(target=lambda: outcome.append(world.execute(sync_id)))
    thread.start()
    wait_for(lambda: any(request.params["page"] == "6" for request in upstream.requests), what="page 6")
    world.query("UPDATE sync_runs SET cancel_requested_at = now() WHERE sync_id = %s RETURNING sync_id", sync_id)
    thread.join(60)
    assert outcome == ["cancelled"]
    wait_for(lambda: not _readers(), what="the end of the reading thread")


def _readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "read-ahead"]
