"""Valkey that is killed, frozen, flushed or away, and an API that dies before it has published."""

from __future__ import annotations

import threading
import time

import pytest
import urllib3

from tests.faults.audit import assert_both_loaded, assert_first_load, kinds
from tests.faults.stack import Stack
from tests.waiting import wait_for

KEY = {"Idempotency-Key": "the caller asks again"}
ORGANIZATIONS = ("north", "south", "west")
QUICK_ENOUGH = (
    5.0  # seconds: milliseconds with Valkey there, about a second without; what is ruled out is waiting for it
)


def trigger_quickly(stack: Stack, sync: str) -> str:
    """A trigger is answered at once, whatever Valkey does."""
    began = time.monotonic()
    sync_id = stack.trigger(sync)
    assert time.monotonic() - began < QUICK_ENOUGH
    return sync_id


def take_valkey_away(stack: Stack, outage: str) -> None:
    {"killed": stack.kill_valkey, "frozen": stack.pause_valkey, "full": stack.fill_valkey}[outage]()


def bring_valkey_back(stack: Stack, outage: str) -> None:
    {"killed": stack.valkey.start, "frozen": stack.resume_valkey, "full": stack.make_room_in_valkey}[outage]()


@pytest.mark.parametrize("outage", ["killed", "frozen", "full"])
def test_triggers_are_accepted_without_valkey_and_done_when_it_is_back(stack: Stack, outage: str) -> None:
    stack.upstream.hurry()
    take_valkey_away(stack, outage)
    stack.start_worker(ready=False)
    ids = {sync: trigger_quickly(stack, sync) for sync in ("clients", "appointments")}
    for sync, sync_id in ids.items():
        assert stack.run(sync_id)["status"] == "starting"
        status, answer = stack.ask("POST", "/api/v1/runs", {"sync": sync})
        assert (status, answer["sync_started"], answer["sync_id"]) == (202, False, sync_id)
    bring_valkey_back(stack, outage)
    runs = {sync: stack.ended(sync_id) for sync, sync_id in ids.items()}
    assert_both_loaded(stack, runs)


def test_the_api_is_killed_between_commit_and_publish(stack: Stack) -> None:
    api = stack.have_api()
    stack.upstream.hurry()
    stack.pause_valkey()
    asked = threading.Thread(target=ask_in_vain, args=(stack,))
    asked.start()
    [run] = wait_for(lambda: stack.rows("SELECT sync_id, status FROM sync_runs"), every=0.001, what="a committed run")
    api.kill()
    asked.join()
    stack.resume_valkey()
    stack.flush()  # in case its message stood in a buffer already
    assert run["status"] == "starting"
    stack.have_api()
    status, answer = stack.ask("POST", "/api/v1/sync/clients", **KEY)
    assert (status, answer["sync_id"], answer["sync_started"]) == (202, run["sync_id"], True)  # the answer of then
    stack.start_worker()
    assert_first_load(stack, "clients", stack.ended(run["sync_id"]))
    assert len(stack.rows("SELECT sync_id FROM sync_runs")) == 1


def ask_in_vain(stack: Stack) -> None:
    """A POST whose caller never hears an answer."""
    with pytest.raises(urllib3.exceptions.HTTPError):
        stack.ask("POST", "/api/v1/sync/clients", **KEY)


@pytest.mark.parametrize("outage", ["flushed", "killed"])
def test_valkey_is_flushed_or_killed_while_runs_wait_and_run(stack: Stack, outage: str) -> None:
    stack.organizations(*ORGANIZATIONS)
    stack.start_worker()
    running = stack.trigger()
    stack.in_the_middle(running)
    waiting = {name: stack.trigger(organization=name) for name in ORGANIZATIONS}
    assert stack.waiting() > 0
    if outage == "killed":
        stack.kill_valkey()
        stack.valkey.start()
    else:
        stack.flush()
    stack.upstream.hurry()
    assert_first_load(stack, "clients", stack.ended(running))
    for sync_id in waiting.values():
        run = stack.ended(sync_id)
        assert_first_load(stack, "clients", run)
        assert kinds(stack, sync_id) == ["started", "completed"]


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_the_run_in_hand_goes_on_while_valkey_is_away(stack: Stack, outage: str) -> None:
    stack.organizations("north")
    worker = stack.start_worker()
    running = stack.trigger()
    stack.in_the_middle(running)
    waiting = stack.trigger(organization="north")
    take_valkey_away(stack, outage)
    worker.says("redis.away")
    stack.upstream.hurry()
    run = stack.ended(running)  # nobody has brought Valkey back yet
    assert_first_load(stack, "clients", run)
    assert kinds(stack, running) == ["started", "completed"]
    bring_valkey_back(stack, outage)
    assert_first_load(stack, "clients", stack.ended(waiting))
    assert worker.alive


def test_a_flood_of_triggers_makes_one_run_each(stack: Stack) -> None:
    names = [f"flood{number}" for number in range(8)]
    stack.organizations(*names)
    stack.upstream.hurry()
    answers: list[tuple[int, str, bool]] = []

    def flood(name: str) -> None:
        for _ in range(15):
            status, answer = stack.ask("POST", "/api/v1/runs", {"sync": "clients", "organization_id": name})
            answers.append((status, answer["sync_id"], answer["sync_started"]))

    threads = [threading.Thread(target=flood, args=(name,)) for name in names * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _, _ in answers} == {202}
    started = {sync_id for _, sync_id, new in answers if new}
    assert len(started) == len(names) == sum(new for _, _, new in answers)
    stack.start_worker(WORKER_CONCURRENCY="2")
    for sync_id in started:
        assert_first_load(stack, "clients", stack.ended(sync_id))
