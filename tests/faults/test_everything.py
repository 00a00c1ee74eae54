"""Everything at once: a monkey in the machine room, with the same moves at every run."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from tests.faults.audit import assert_both_loaded
from tests.faults.processes import Running
from tests.faults.stack import Stack
from tests.waiting import wait_for

ORGANIZATIONS = ("default", "north", "south")
SYNCS = ("clients", "appointments")
MOVES = 12
PATIENT = {"WORKER_MAX_RETRIES": "100", "LEASE_SECONDS": "2"}
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(application_name, 'syncapp-')"


class Monkey:
    """Breaks one thing after another, and mends what nothing else would mend."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.random = random.Random(seed)
        self.moves: list[Callable[[], object]] = [
            self.kill_child,
            self.kill_worker,
            self.deploy,
            self.pause_worker,
            self.kill_api,
            self.kill_beat,
            self.restart_valkey,
            stack.flush,
            self.restart_postgres,
            lambda: stack.execute(CUT),
        ]
        self.beat = stack.start_beat()
        self.workers = stack.start_workers(2, **PATIENT)

    def any_worker(self) -> Running:
        return self.random.choice(self.workers)

    def kill_child(self) -> None:
        self.any_worker().kill_child()

    def kill_worker(self) -> None:
        self.replace(self.any_worker(), Running.kill)

    def deploy(self) -> None:
        self.replace(self.any_worker(), Running.ask_to_end)

    def replace(self, old: Running, how: Callable[[Running], None]) -> None:
        self.workers.remove(old)
        how(old)
        self.workers.append(self.stack.start_worker(**PATIENT))

    def pause_worker(self) -> None:
        """It goes on when the next thing breaks."""
        self.any_worker().pause()

    def kill_api(self) -> None:
        self.stack.have_api().kill()

    def kill_beat(self) -> None:
        self.beat.kill()
        self.beat = self.stack.start_beat()

    def restart_valkey(self) -> None:
        self.stack.kill_valkey()
        self.stack.valkey.start()

    def restart_postgres(self) -> None:
        self.stack.postgres.kill()
        self.stack.postgres.start(60)

    def move(self) -> None:
        self.random.choice(self.moves)()

    def mend(self) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.resume()
        self.stack.have_api()


def progress(stack: Stack) -> tuple[int, int]:
    """How many runs have ended, and how many records all of them have processed."""
    query = "SELECT count(completed_at) AS ended, coalesce(sum(records_processed), 0)::int AS records FROM sync_runs"
    try:
        [row] = stack.rows(query)
    except psycopg.OperationalError:
        return 0, 0
    return row["ended"], row["records"]


def goes_on(stack: Stack, before: tuple[int, int]) -> bool:
    ended, records = progress(stack)
    return (ended, records) > before or ended == len(ORGANIZATIONS) * len(SYNCS)


@pytest.mark.parametrize("seed", [1])
def test_a_monkey_in_the_machine_room_loses_nothing(stack: Stack, seed: int) -> None:
    stack.organizations(*ORGANIZATIONS[1:])
    monkey = Monkey(stack, seed)
    ids = {(name, sync): stack.trigger(sync, name) for name in ORGANIZATIONS for sync in SYNCS}
    for _ in range(MOVES):
        monkey.move()
        before = progress(stack)
        wait_for(lambda before=before: goes_on(stack, before), deadline=30, what="work that goes on")
        monkey.mend()
    stack.upstream.hurry()
    runs = {key: stack.ended(sync_id) for key, sync_id in ids.items()}
    for name in ORGANIZATIONS:
        assert_both_loaded(stack, {sync: runs[name, sync] for sync in SYNCS})
