"""Workers that are killed, paused, asked to end, and sent the same message twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.settings import Settings
from tests.faults.audit import assert_first_load, assert_mirrors_source, fingerprint, kinds
from tests.faults.processes import Running
from tests.faults.stack import Stack
from tests.waiting import wait_for
from workers.dispatch import CeleryDispatcher

GAVE_UP = r"run\.left.*skipped|Retry in \ds: DatabaseUnavailable"  # its transaction was ended while it was frozen


def send(stack: Stack, sync_id: str, times: int = 1) -> None:
    """The run's message once more, as a broker delivers it that is not sure."""
    dispatcher = CeleryDispatcher(Settings(redis_url=stack.valkey.url))
    for _ in range(times):
        assert dispatcher.dispatch(sync_id, "sync")
    dispatcher.close()


@pytest.mark.parametrize("sync", ["clients", "appointments"])
def test_a_child_is_killed_in_mid_run(stack: Stack, sync: str) -> None:
    worker = stack.start_worker(LEASE_SECONDS="3600")  # the worker says that its child is dead: nobody waits for that
    sync_id = stack.trigger(sync)
    stack.in_the_middle(sync_id)
    worker.kill_child()
    stack.upstream.hurry()
    run = stack.ended(sync_id)
    assert_first_load(stack, sync, run)
    assert kinds(stack, sync_id) == ["started", "resumed", "completed"]
    assert run["attempt"] == 2


@pytest.mark.parametrize("kill", [Running.kill, Running.kill_parent], ids=["with its children", "alone"])
def test_the_worker_is_killed_and_another_takes_over(stack: Stack, kill: Callable[[Running], None]) -> None:
    stack.start_workers(2)
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    kill(stack.holder(sync_id))
    stack.upstream.hurry()
    run = stack.ended(sync_id)
    assert_first_load(stack, "clients", run)
    assert run["attempt"] <= 2


def test_the_only_worker_is_killed_and_started_again(stack: Stack) -> None:
    worker = stack.start_worker()
    ids = {sync: stack.trigger(sync) for sync in ("appointments", "clients")}
    stack.in_the_middle(ids["appointments"])
    worker.kill()
    stack.upstream.hurry()
    stack.start_worker()
    run = stack.ended(ids["appointments"])
    assert_first_load(stack, "appointments", run)
    assert run["attempt"] == 2
    assert stack.ended(ids["clients"])["status"] == "completed"


def test_a_run_that_kills_its_worker_every_time_is_given_up(stack: Stack) -> None:
    worker = stack.start_worker(WORKER_MAX_RETRIES="1")
    sync_id = stack.trigger()
    for attempt in (1, 2):
        wait_for(lambda wanted=attempt: (run := stack.run(sync_id))["attempt"] == wanted and run["lease_owner"])
        stack.in_the_middle(sync_id, records=attempt * 80)
        worker.kill_child()
    stack.upstream.hurry()
    run = stack.ended(sync_id)
    assert (run["status"], run["error_type"], run["attempt"]) == ("failed", "stale", 2)
    assert kinds(stack, sync_id) == ["started", "resumed", "failed"]
    status, answer = stack.ask("POST", f"/api/v1/runs/{sync_id}/retry")
    assert status == 202
    assert_first_load(stack, "clients", stack.ended(answer["sync_id"]), run)  # it went on where the other one died


@pytest.mark.parametrize("remap", ["", "SIGQUIT"], ids=["warm", "as on Heroku"])
def test_a_deploy_ends_the_run_at_its_page(stack: Stack, remap: str) -> None:
    lease = {"LEASE_SECONDS": "3600"}  # nobody waits for one to expire here
    first = stack.start_worker(**lease, **({"REMAP_SIGTERM": remap} if remap else {}))
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    first.ask_to_end()
    run = wait_for(lambda: (run := stack.run(sync_id))["lease_owner"] is None and run, what="a run that was let go")
    assert (run["status"], run["attempt"]) == ("running", 0)
    assert run["records_processed"] < len(stack.upstream.records["clients"])
    stack.upstream.hurry()
    stack.start_worker(**lease)
    run = stack.ended(sync_id)
    assert_first_load(stack, "clients", run)
    assert kinds(stack, sync_id) == ["started", "released", "started", "completed"]
    assert run["attempt"] == 1
    first.exit_code()  # within the time that platforms give


def test_a_deploy_does_not_wait_for_a_page_that_hangs(stack: Stack) -> None:
    worker = stack.start_worker(EXTERNAL_API_TIMEOUT="600")
    stack.upstream.hurry()
    stack.upstream.fail("hang", path="/clients", after=20)
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    assert worker.end() == 0
    run = stack.run(sync_id)
    assert (run["status"], run["lease_owner"], run["attempt"]) == ("running", None, 0)
    stack.upstream.faults.clear()
    stack.start_worker()
    assert_first_load(stack, "clients", stack.ended(sync_id))


def test_a_complete_read_that_was_interrupted_deletes_what_is_gone_and_only_that(stack: Stack) -> None:
    worker, upstream = stack.start_worker(LEASE_SECONDS="3600"), stack.upstream
    upstream.hurry()
    stack.ended(stack.trigger())
    before = len(upstream.live("clients"))
    upstream.change(100)
    del upstream.records["clients"][1000:1060]
    upstream.slow_down()
    sync_id = stack.trigger(full_refresh=True)
    for records in (100, 200):
        stack.in_the_middle(sync_id, records)
        worker.kill_child()
    upstream.hurry()
    run = stack.ended(sync_id)
    assert (run["status"], run["attempt"], run["records_created"], run["records_updated"]) == ("completed", 3, 0, 100)
    assert run["records_deleted"] == before - len(upstream.live("clients")) > 0
    assert_mirrors_source(stack, "clients")


def test_a_worker_that_was_paused_past_its_lease_writes_nothing_any_more(stack: Stack) -> None:
    stack.start_workers(2)
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    paused = stack.holder(sync_id)
    paused.pause()
    stack.upstream.hurry()
    run = stack.ended(sync_id)
    assert_first_load(stack, "clients", run)
    assert run["attempt"] == 2
    before = fingerprint(stack)
    paused.resume()
    paused.says(GAVE_UP)
    assert fingerprint(stack) == before


WRITES = """
SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = 'syncapp-worker' AND l.relation = 'clients'::regclass AND l.mode = 'RowExclusiveLock'"""


def pause_in_a_transaction(stack: Stack, worker: Running) -> bool:
    worker.pause()
    if stack.rows(WRITES):
        return True
    worker.resume()
    return False


def test_a_worker_that_was_paused_while_it_wrote_holds_nobody_up(stack: Stack) -> None:
    stack.start_workers(2)
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    paused = stack.holder(sync_id)
    wait_for(lambda: pause_in_a_transaction(stack, paused), every=0.001, what="a worker in its transaction")
    stack.upstream.hurry()
    run = stack.ended(sync_id)
    assert_first_load(stack, "clients", run)
    before = fingerprint(stack)
    paused.resume()
    paused.says(GAVE_UP)
    assert fingerprint(stack) == before


def test_the_same_message_at_the_same_time_and_later(stack: Stack) -> None:
    workers = [stack.start_worker(ready=False), stack.start_worker(ready=False, WORKER_CONCURRENCY="2")]
    sync_id = stack.trigger()
    send(stack, sync_id, times=8)
    for worker in workers:
        worker.says(r" ready\.")
    stack.upstream.hurry()
    run = stack.ended(sync_id)
    assert_first_load(stack, "clients", run)
    assert kinds(stack, sync_id) == ["started", "completed"]
    wait_for(lambda: stack.waiting() == 0)
    before = fingerprint(stack)
    send(stack, sync_id, times=4)
    skipped = wait_for(lambda: sum(worker.text.count("run.skipped") for worker in workers) >= 12)
    assert skipped
    assert fingerprint(stack) == before
