"""An upstream that empties, shrinks, limits, fails or hangs, met by the whole stack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.audit import assert_first_load, assert_mirrors_source, counts, kinds
from tests.faults.stack import Stack
from tests.faults.upstream import PAGE
from tests.waiting import wait_for

REAL = "SELECT * FROM clients WHERE NOT is_mock ORDER BY id"
MOCK = "SELECT * FROM clients WHERE is_mock"


def load(stack: Stack, **asked: Any) -> dict[str, Any]:
    """A run of clients from its trigger to its end."""
    return stack.ended(stack.trigger(**asked))


@pytest.fixture
def loaded(stack: Stack) -> Stack:
    """A worker, and the clients in the table."""
    stack.upstream.hurry()
    stack.start_worker(MOCK_FALLBACK="true", WORKER_MAX_RETRIES="0")
    assert_first_load(stack, "clients", load(stack))
    return stack


@pytest.mark.parametrize("left", [0, 900], ids=["empty", "a quarter gone"])
def test_a_list_that_shrinks_suddenly_deletes_nothing(loaded: Stack, left: int) -> None:
    before, everybody = loaded.rows(REAL), list(loaded.upstream.records["clients"])
    del loaded.upstream.records["clients"][left:]
    run = load(loaded, full_refresh=True)
    assert (run["status"], run["error_type"], run["records_deleted"]) == ("failed", "mass_delete_refused", 0)
    assert loaded.rows(REAL) == before
    run = load(loaded)  # an incremental read sees nothing new, and takes nobody for gone
    assert (run["status"], run["records_deleted"]) == ("completed", 0)
    assert loaded.rows(REAL) == before
    loaded.upstream.records["clients"][:] = everybody
    run = load(loaded, full_refresh=True)
    assert (run["status"], run["records_created"], run["records_deleted"]) == ("completed", 0, 0)
    assert_mirrors_source(loaded, "clients")


def test_changes_and_a_few_removals_are_followed(loaded: Stack) -> None:
    upstream = loaded.upstream
    upstream.change(37)
    before = len(upstream.live("clients"))
    del upstream.records["clients"][-20:]
    run = load(loaded, full_refresh=True)
    assert (run["status"], run["records_updated"]) == ("completed", 37)
    assert run["records_deleted"] == before - len(upstream.live("clients"))
    assert_mirrors_source(loaded, "clients")


def test_429_parks_the_run_and_frees_its_worker(stack: Stack) -> None:
    stack.upstream.hurry()
    stack.start_worker()
    stack.upstream.fail("status", path="/clients", status=429, headers={"Retry-After": "5"}, after=20, times=1)
    sync_id = stack.trigger()
    parked = wait_for(lambda: (run := stack.run(sync_id))["resume_at"] and run, what="a parked run")
    assert (parked["status"], parked["lease_owner"], parked["attempt"]) == ("running", None, 0)
    other = stack.ended(stack.trigger("appointments"))
    assert_first_load(stack, "appointments", other)
    run = stack.ended(sync_id)
    assert (run["status"], run["attempt"]) == ("completed", 1)
    assert counts(run)["processed"] == len(stack.upstream.records["clients"])
    assert_mirrors_source(stack, "clients")
    assert kinds(stack, sync_id) == ["started", "parked", "started", "completed"]
    assert other["completed_at"] < parked["resume_at"], "the worker waited with the parked run"
    [left] = stack.rows("SELECT at FROM run_events WHERE sync_id = %s AND kind = 'parked'", sync_id)
    asked = [one.at for one in stack.upstream.requests if one.path == "/clients"]
    assert [at for at in asked if left["at"] < at < parked["resume_at"]] == []


@pytest.mark.parametrize("kind", ["status", "hang", "cut"])
def test_a_storm_in_mid_run_is_waited_for(stack: Stack, kind: str) -> None:
    stack.start_worker(WORKER_MAX_RETRIES="20", EXTERNAL_API_TIMEOUT="1", EXTERNAL_API_RETRY_ATTEMPTS="0")
    stack.upstream.hurry()
    stack.upstream.fail(kind, path="/clients", after=20)
    sync_id = stack.trigger()
    wait_for(lambda: "retrying" in kinds(stack, sync_id), what="a run that waits for better weather")
    run = stack.run(sync_id)
    assert (run["status"], run["error_type"]) == ("running", "api_connection_failed")
    assert 0 < run["records_processed"] <= 20 * PAGE
    stack.upstream.faults.clear()
    assert_first_load(stack, "clients", stack.ended(sync_id))


def test_a_storm_that_does_not_end_fails_the_run_and_a_retry_goes_on(stack: Stack) -> None:
    stack.upstream.hurry()
    stack.start_worker(WORKER_MAX_RETRIES="1", EXTERNAL_API_RETRY_ATTEMPTS="0")
    stack.upstream.fail("status", path="/clients", after=20)
    run = load(stack)
    assert (run["status"], run["error_type"], run["attempt"]) == ("failed", "api_connection_failed", 2)
    stack.upstream.faults.clear()
    status, answer = stack.ask("POST", f"/api/v1/runs/{run['sync_id']}/retry")
    assert status == 202
    assert_first_load(stack, "clients", stack.ended(answer["sync_id"]), run)


def test_without_mock_fallback_nothing_is_invented(stack: Stack) -> None:
    stack.start_worker(WORKER_MAX_RETRIES="0")
    stack.upstream.fail("status")
    run = load(stack)
    assert (run["status"], run["error_type"], run["source"]) == ("failed", "api_connection_failed", "live")
    assert stack.rows("SELECT * FROM clients") == []


def test_mock_records_fill_an_empty_table_and_leave_at_the_next_live_run(stack: Stack) -> None:
    stack.upstream.hurry()
    stack.start_worker(MOCK_FALLBACK="true")
    stack.upstream.fail("status")
    run = load(stack)
    assert (run["status"], run["source"]) == ("completed", "mock")
    assert len(stack.rows(MOCK)) == run["records_created"] > 0
    assert stack.rows(REAL) == []
    assert stack.ask("GET", "/api/v1/sync/status")[1]["clients"]["source"] == "mock"
    stack.upstream.faults.clear()
    assert_first_load(stack, "clients", load(stack))
    assert stack.rows(MOCK) == []
    assert stack.ask("GET", "/api/v1/sync/status")[1]["clients"]["source"] == "live"


def test_mock_records_stand_beside_real_ones_and_never_in_their_place(loaded: Stack) -> None:
    before = loaded.rows(REAL)
    loaded.upstream.fail("reset")
    run = load(loaded, full_refresh=True)
    assert (run["status"], run["source"], run["records_deleted"]) == ("completed", "mock", 0)
    assert loaded.rows(REAL) == before
    assert len(loaded.rows(MOCK)) == run["records_created"] > 0
    loaded.upstream.faults.clear()
    loaded.upstream.change(5)
    run = load(loaded)
    assert (run["status"], run["source"], run["records_updated"]) == ("completed", "live", 5)
    assert loaded.rows(MOCK) == []
    assert_mirrors_source(loaded, "clients")
