"""PostgreSQL that is restarted, killed, away for longer than a lease, or takes its connections away."""

from __future__ import annotations

import pytest

from tests.faults.audit import assert_both_loaded, assert_first_load, kinds
from tests.faults.stack import Stack
from tests.waiting import wait_for


@pytest.mark.parametrize("outage", ["restarted", "killed"])
def test_the_run_goes_on_over_a_restart(stack: Stack, outage: str) -> None:
    worker = stack.start_worker(LEASE_SECONDS="30")
    sync_id = stack.trigger("appointments")
    stack.in_the_middle(sync_id)
    stack.postgres.stop() if outage == "restarted" else stack.postgres.kill()
    stack.postgres.start(60)
    stack.upstream.hurry()
    assert_first_load(stack, "appointments", stack.ended(sync_id))
    assert kinds(stack, sync_id) == ["started", "completed"]
    assert worker.alive


def test_it_is_away_for_longer_than_a_lease(stack: Stack) -> None:
    worker = stack.start_worker(LEASE_SECONDS="1", WORKER_CONCURRENCY="2")
    ids = {sync: stack.trigger(sync) for sync in ("clients", "appointments")}
    for sync_id in ids.values():
        stack.in_the_middle(sync_id)
    stack.postgres.kill()
    worker.says("Retry in .*DatabaseUnavailable", times=2)  # both runs were given up for now
    stack.upstream.hurry()
    stack.postgres.start(60)
    assert_both_loaded(stack, {sync: stack.ended(sync_id) for sync, sync_id in ids.items()})


def test_the_api_says_so_and_accepts_nothing_meanwhile(stack: Stack) -> None:
    stack.start_worker()
    stack.upstream.hurry()
    stack.postgres.kill()
    status, answer = stack.ask("POST", "/api/v1/runs", {"sync": "clients"})
    assert (status, answer["details"]["error_type"]) == (503, "database_error")
    assert answer["details"]["retry_after"] > 0
    assert stack.ask("GET", "/api/v1/health")[0] == 503
    stack.postgres.start(60)
    assert stack.rows("SELECT * FROM sync_runs") == []
    assert_first_load(stack, "clients", stack.ended(stack.trigger()))
    wait_for(lambda: stack.ask("GET", "/api/v1/health")[0] == 200)


def test_connections_are_cut_again_and_again(stack: Stack) -> None:
    stack.start_worker(LEASE_SECONDS="30", WORKER_CONCURRENCY="2")
    ids = {sync: stack.trigger(sync) for sync in ("clients", "appointments")}
    for records in (100, 200, 300, 400, 500):
        stack.in_the_middle(ids["appointments"], records)
        stack.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(application_name, 'syncapp-')"
        )
    stack.upstream.hurry()
    runs = {sync: stack.ended(sync_id) for sync, sync_id in ids.items()}
    assert_both_loaded(stack, runs)
    assert {run["attempt"] for run in runs.values()} == {1}
