"""Workers as they are deployed: what they take, in which order, and how they end."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import pytest

from config.settings import Settings
from syncapp.demo.faults import Fault
from tests.e2e.fleet import Fleet, Member
from tests.waiting import wait_for
from workers.dispatch import CeleryDispatcher

pytestmark = pytest.mark.slow

PAGE_SECONDS = 0.1  # 40 pages: a run of 4 s and more


@pytest.fixture
def slow_source(fleet: Fleet) -> None:
    fleet.upstream.faults.add(Fault("delay", path="/clients", seconds=PAGE_SECONDS))


def in_the_middle(fleet: Fleet, sync_id: str) -> dict[str, object]:
    """The run once it has written some of its records."""
    return wait_for(lambda: (run := fleet.run(sync_id))["records_processed"] >= 20 and run, what="a run in the middle")


def test_what_was_committed_is_done(fleet: Fleet) -> None:
    fleet.accept("run")
    fleet.worker()
    run = fleet.ended("run")
    assert (run["status"], run["records_created"], run["attempt"]) == ("completed", 400, 1)
    assert fleet.missing_clients() == (set(), set())
    (process,) = fleet.rows("SELECT kind, queues FROM processes")
    assert process == {"kind": "worker", "queues": ["sync", "default", "mailers"]}


def test_a_worker_that_ended_is_no_longer_among_the_living(fleet: Fleet) -> None:
    worker = fleet.worker()
    wait_for(lambda: fleet.rows("SELECT 1 FROM processes"))
    assert worker.end() == 0
    assert fleet.rows("SELECT 1 FROM processes") == []


def test_queues_are_drained_in_the_order_they_are_named(fleet: Fleet) -> None:
    dispatcher = CeleryDispatcher(Settings(redis_url=fleet.redis_url))
    for number in range(5):
        for queue in ("mailers", "default", "sync"):
            dispatcher.dispatch(f"{queue}-{number}", queue)
    dispatcher.close()
    worker = fleet.worker("sync,default,mailers")
    worker.says("mailers-4")
    order = re.findall(r"run\.skipped.*?sync_id=(?:\x1b\[\d+m)*([a-z]+)-", worker.text)
    assert order == ["sync"] * 5 + ["default"] * 5 + ["mailers"] * 5


def test_mail_and_housekeeping_move_while_syncs_pile_up(fleet: Fleet, slow_source: None) -> None:
    fleet.worker("sync,default,mailers", concurrency=1)
    light = fleet.worker("mailers,default", concurrency=1)
    names = [f"org{number}" for number in range(10)]
    for name in names:
        fleet.execute("INSERT INTO organizations (id, name) VALUES (%s, %s)", name, name)
        fleet.accept(f"run-{name}", name)
    wait_for(lambda: fleet.queue("sync") >= 5, what="a backlog of syncs")
    dispatcher = CeleryDispatcher(Settings(redis_url=fleet.redis_url))
    for queue in ("default", "mailers"):
        for number in range(20):
            dispatcher.dispatch(f"{queue}-{number}", queue)
    dispatcher.close()
    wait_for(lambda: fleet.queue("default") + fleet.queue("mailers") == 0, what="empty light queues")
    light.says("mailers-19")
    light.says("default-19")
    assert fleet.queue("sync") > 0
    unfinished = "SELECT count(*) AS n FROM sync_runs WHERE status IN ('starting', 'running')"
    assert fleet.rows(unfinished)[0]["n"] > 5


def to_the_worker(worker: Member) -> None:
    worker.process.send_signal(signal.SIGTERM)


def to_all_its_processes(worker: Member) -> None:
    """As Heroku does, and a supervisor that signals the group."""
    os.killpg(worker.process.pid, signal.SIGTERM)


@pytest.mark.parametrize("remap", [None, "SIGQUIT"])
@pytest.mark.parametrize("send_sigterm", [to_the_worker, to_all_its_processes])
def test_sigterm_ends_a_run_at_its_page_and_the_next_worker_goes_on(
    fleet: Fleet, slow_source: None, send_sigterm: Callable[[Member], None], remap: str | None
) -> None:
    fleet.accept("run")
    first = fleet.worker(**({"REMAP_SIGTERM": remap} if remap else {}))
    in_the_middle(fleet, "run")
    send_sigterm(first)
    first.process.wait(60)
    run = fleet.run("run")
    assert (run["status"], run["lease_owner"], run["attempt"]) == ("running", None, 0)
    assert 20 <= run["records_processed"] < 400
    asked = len(fleet.upstream.requests)
    fleet.worker()
    run = fleet.ended("run")
    assert (run["status"], run["attempt"], run["records_created"]) == ("completed", 1, 400)
    assert fleet.missing_clients() == (set(), set())
    assert len(fleet.upstream.requests) - asked < 40  # it went on, it did not begin again
    kinds = [event["kind"] for event in fleet.rows("SELECT kind FROM run_events ORDER BY seq")]
    assert "released" in kinds


def killed_child(worker: Member) -> None:
    for pid in worker.children:
        os.kill(pid, signal.SIGKILL)


def test_a_child_that_is_killed_costs_its_run_an_attempt_and_no_time(fleet: Fleet, slow_source: None) -> None:
    fleet.accept("run")
    worker = fleet.worker(LEASE_SECONDS="3600")  # nobody waits for that
    in_the_middle(fleet, "run")
    killed_child(worker)
    run = fleet.ended("run")
    assert (run["status"], run["attempt"], run["records_created"]) == ("completed", 2, 400)
    assert fleet.missing_clients() == (set(), set())


def test_a_worker_that_is_killed_is_succeeded_when_its_lease_ends(fleet: Fleet, slow_source: None) -> None:
    fleet.accept("run")
    first = fleet.worker(LEASE_SECONDS="3")
    in_the_middle(fleet, "run")
    first.end(signal.SIGKILL)
    fleet.worker(LEASE_SECONDS="3")
    run = fleet.ended("run")
    assert (run["status"], run["attempt"], run["records_created"]) == ("completed", 2, 400)
    assert fleet.missing_clients() == (set(), set())


def test_a_run_that_kills_its_worker_every_time_is_given_up(fleet: Fleet, slow_source: None) -> None:
    fleet.accept("run")
    worker = fleet.worker(WORKER_MAX_RETRIES="1")

    def killed_twice() -> bool:
        if fleet.run("run")["lease_owner"]:
            killed_child(worker)
        return fleet.run("run")["status"] == "failed"

    wait_for(killed_twice, every=0.5, deadline=60)
    run = fleet.run("run")
    assert (run["error_type"], run["attempt"]) == ("stale", 2)


def test_flushall_in_the_middle_loses_no_run(fleet: Fleet, slow_source: None) -> None:
    fleet.execute("INSERT INTO organizations (id, name) VALUES ('other', 'Other')")
    worker = fleet.worker()
    fleet.accept("run")
    in_the_middle(fleet, "run")
    fleet.accept("waiting", "other")
    wait_for(lambda: fleet.queue("sync"), what="a run in its queue")
    fleet.flush()
    for sync_id, organization_id in (("run", "default"), ("waiting", "other")):
        assert fleet.ended(sync_id)["status"] == "completed"
        assert fleet.missing_clients(organization_id) == (set(), set())
    assert worker.alive


def test_a_worker_starts_and_ends_while_postgresql_is_away(fleet: Fleet) -> None:
    worker = fleet.worker(DATABASE_URL="postgresql://postgres@127.0.0.1:1/nothing")
    worker.says("postgres.away")
    assert worker.end() == 0
    assert worker.text.count("postgres.away") == 1
