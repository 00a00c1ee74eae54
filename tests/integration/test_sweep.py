"""What the sweep sends, and what the reaper ends: every state a run can be left in."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from config.settings import Settings
from syncapp.db import Database
from syncapp.sweep import BATCH, drop_dead_leases, end_frozen_writes, reap, sweep
from tests.waiting import wait_for

ATTEMPTS = 4  # WORKER_MAX_RETRIES and the first


class FakeCarrier:
    """A broker whose queues hold messages, or not, or that is away."""

    def __init__(self, idle: Collection[str] | None = (), limit: int = 1_000_000) -> None:
        self.idle = idle
        self.limit = limit
        self.held = 1_000
        self.sent: list[tuple[str, str]] = []

    def dispatch(self, sync_id: str, queue: str) -> bool:
        if len(self.sent) >= self.limit:
            return False
        self.sent.append((sync_id, queue))
        return True

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int] | None:
        return None if self.idle is None else {queue: 0 if queue in self.idle else self.held for queue in queues}


class World:
    def __init__(self, url: str, dsn: str) -> None:
        self.database = Database(url, pool_size=8)
        self.settings = Settings(database_url=url, worker_max_retries=ATTEMPTS - 1, max_runs_per_organization=1_000)
        self.dsn = dsn
        self.count = 0

    def run(self, **values: str) -> str:
        """A run whose columns are given as SQL."""
        self.count += 1
        sync_id = f"run_{self.count}"
        row = {
            "sync_id": f"'{sync_id}'",
            "sync": "'clients'",
            "mode": "'default'",
            "trigger": "'manual'",
            "organization_id": "'default'",
            "dry_run": "true",
        } | values
        with psycopg.connect(self.dsn) as connection:
            connection.execute(f"INSERT INTO sync_runs ({', '.join(row)}) VALUES ({', '.join(row.values())})")
        return sync_id

    def rows(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query).fetchall()

    def sweep(self, carrier: FakeCarrier | None = None) -> list[str]:
        carrier = carrier or FakeCarrier()
        sent = sweep(self.database, self.settings, carrier)
        assert sent == len(carrier.sent)
        return [sync_id for sync_id, _ in carrier.sent]

    def reap(self) -> dict[str, Any]:
        reap(self.database, self.settings)
        return {row["sync_id"]: row for row in self.rows("SELECT * FROM sync_runs")}


@pytest.fixture
def world(database_url: str, database_dsn: str) -> Iterator[World]:
    made = World(database_url, database_dsn)
    yield made
    made.database.dispose()


FREE = {"status": "'running'", "dispatched_at": "now() - interval '1 minute'"}


@pytest.mark.parametrize(
    ("values", "due"),
    [
        ({"dispatched_at": "NULL"}, True),
        ({"dispatched_at": "now()"}, False),
        ({"dispatched_at": "now() - interval '9 minutes'"}, False),
        ({"dispatched_at": "now() - interval '11 minutes'"}, True),
        (FREE | {"dispatched_at": "NULL"}, True),
        (FREE | {"dispatched_at": "NULL", "resume_at": "now() + interval '1 minute'"}, False),
        (FREE | {"dispatched_at": "NULL", "resume_at": "now() - interval '1 second'"}, True),
        (FREE | {"lease_expires_at": "now() + interval '5 seconds'"}, False),
        (FREE | {"lease_expires_at": "now() - interval '1 second'"}, True),
        (FREE | {"lease_expires_at": "now() - interval '2 minutes'"}, False),  # sent since then
        (FREE | {"dispatched_at": "NULL", "cancel_requested_at": "now()"}, False),
        (FREE | {"dispatched_at": "NULL", "attempt": str(ATTEMPTS)}, False),
        (FREE | {"dispatched_at": "NULL", "attempt": str(ATTEMPTS - 1)}, True),
        ({"status": "'completed'", "dispatched_at": "NULL"}, False),
        ({"status": "'failed'", "dispatched_at": "NULL"}, False),
        ({"status": "'cancelled'", "dispatched_at": "NULL"}, False),
    ],
)
def test_which_runs_are_due(world: World, values: dict[str, str], due: bool) -> None:
    sync_id = world.run(**values)
    assert world.sweep() == ([sync_id] if due else [])
    assert world.sweep() == []  # what was sent is noted


def test_a_lost_message_is_noticed_when_its_queue_is_empty(world: World) -> None:
    world.run(dispatched_at="now() + interval '1 hour'")  # as good as just now
    older = world.run(dispatched_at="now() - interval '6 seconds'")
    assert world.sweep(FakeCarrier(idle={"default", "mailers"})) == []
    assert world.sweep(FakeCarrier(idle={"sync"})) == [older]
    assert world.sweep(FakeCarrier(idle={"sync"})) == []


def test_a_lost_message_is_noticed_when_its_queue_holds_too_few(world: World) -> None:
    """Two messages, three runs that wait for theirs: the one that was sent first is sent again, and then no other."""
    for minutes in (1, 3, 2):
        world.run(dispatched_at=f"now() - interval '{minutes} minutes'")
    carrier = FakeCarrier()
    carrier.held = 2
    assert world.sweep(carrier) == ["run_2"]
    carrier = FakeCarrier()
    carrier.held = 3
    assert world.sweep(carrier) == []


def test_a_message_that_was_just_sent_is_not_missed(world: World) -> None:
    world.run(dispatched_at="now() - interval '10 seconds'")
    world.run(dispatched_at="now() - interval '10 seconds'")
    carrier = FakeCarrier()
    carrier.held = 1
    assert world.sweep(carrier) == []


def test_without_redis_nothing_is_claimed(world: World) -> None:
    world.run(dispatched_at="NULL")
    assert world.sweep(FakeCarrier(idle=None)) == []
    assert world.rows("SELECT dispatched_at FROM sync_runs") == [{"dispatched_at": None}]


def test_when_redis_dies_in_the_middle_only_what_it_took_is_noted(world: World) -> None:
    runs = [world.run(dispatched_at="NULL", created_at=f"now() - interval '{9 - n} seconds'") for n in range(5)]
    assert world.sweep(FakeCarrier(limit=2)) == runs[:2]
    assert world.sweep() == runs[2:]


def test_more_runs_than_a_batch(world: World) -> None:
    for _ in range(BATCH * 2 + 3):
        world.run(dispatched_at="NULL")
    assert len(world.sweep()) == BATCH * 2 + 3


def test_several_sweeps_at_once_send_each_run_once(world: World) -> None:
    runs = {world.run(dispatched_at="NULL") for _ in range(40)}
    carriers = [FakeCarrier() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(world.sweep, carriers))
    sent = [sync_id for carrier in carriers for sync_id, _ in carrier.sent]
    assert len(sent) == len(runs)
    assert set(sent) == runs


def test_a_run_of_a_sync_that_is_gone_still_reaches_the_engine(world: World) -> None:
    carrier = FakeCarrier()
    sync_id = world.run(sync="'gone'", dispatched_at="NULL")
    world.sweep(carrier)
    assert carrier.sent == [(sync_id, "sync")]


@pytest.mark.parametrize(
    ("values", "status", "error_type"),
    [
        (FREE | {"lease_expires_at": "now() - interval '1 s'", "attempt": "4"}, "failed", "stale"),
        (FREE | {"lease_expires_at": "now() + interval '9 s'", "attempt": "4"}, "running", None),
        (FREE | {"lease_expires_at": "now() - interval '1 s'", "attempt": "3"}, "running", None),
        (FREE | {"resume_at": "now() + interval '9 s'", "attempt": "4"}, "running", None),
        (
            FREE | {"lease_expires_at": "now() - interval '1 s'", "cancel_requested_at": "now()"},
            "cancelled",
            "cancelled",
        ),
        (FREE | {"lease_expires_at": "now() + interval '9 s'", "cancel_requested_at": "now()"}, "running", None),
        ({"dispatched_at": "now() - interval '1 day'"}, "starting", None),
        ({"status": "'completed'", "attempt": "9"}, "completed", None),
    ],
)
def test_which_runs_the_reaper_ends(world: World, values: dict[str, str], status: str, error_type: str | None) -> None:
    sync_id = world.run(**values)
    run = world.reap()[sync_id]
    assert (run["status"], run["error_type"]) == (status, error_type)
    ended = status in ("failed", "cancelled")
    assert (run["completed_at"] is not None) == ended
    events = world.rows("SELECT seq, kind, data FROM run_events")
    assert [event["kind"] for event in events] == ([status] if ended else [])


def test_reaping_twice_ends_a_run_once(world: World) -> None:
    world.run(**FREE, lease_expires_at="now() - interval '1 s'", attempt="4")
    assert reap(world.database, world.settings) == 1
    assert reap(world.database, world.settings) == 0
    assert len(world.rows("SELECT 1 FROM run_events")) == 1


def test_a_dead_owner_loses_its_lease_at_once(world: World) -> None:
    lease = {"lease_expires_at": "now() + interval '9 minutes'"}
    dead = world.run(**FREE, **lease, lease_owner="'host/abc/11'")
    world.run(**FREE, **lease, lease_owner="'host/abc/12'")
    world.run(**FREE, **lease, lease_owner="'host/other/11'")
    world.run(**FREE, **lease, lease_owner="NULL")
    assert drop_dead_leases(world.database, "host/abc/", lambda owner: owner != "host/abc/11") == 1
    assert world.sweep() == [dead]


@pytest.mark.parametrize(
    ("name", "seconds", "ended"), [("syncapp-worker", 0, 1), ("syncapp-worker", 60, 0), ("psql", 0, 0)]
)
def test_a_copy_whose_client_is_frozen_is_ended(world: World, name: str, seconds: float, ended: int) -> None:
    with psycopg.connect(world.dsn, application_name=name) as frozen:
        copied = frozen.cursor().copy("COPY organizations (id, name) FROM STDIN")
        with contextlib.suppress(psycopg.errors.AdminShutdown), copied as copy:
            wait_for(lambda: world.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'"))
            assert end_frozen_writes(world.database, seconds) == ended
            copy.write("other\tOther\n")
    assert len(world.rows("SELECT 1 FROM organizations")) == 2 - ended
