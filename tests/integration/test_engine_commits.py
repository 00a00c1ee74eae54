"""The engine against a real PostgreSQL: what is committed once, and destinations that no transaction reaches."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from syncapp.db import Database
from syncapp.engine import commit
from syncapp.engine.lease import Lease
from syncapp.engine.outcome import Cancelled
from syncapp.errors import ConnectionFailed, DatabaseUnavailable, RateLimited
from syncapp.testing import DictDestination
from tests.integration.engine import MakeWorld, World, client, fail_once_at, kill_after_batch, take_over


@pytest.mark.parametrize("dies", [False, True])
def test_a_commit_whose_answer_was_lost_is_counted_once(make: MakeWorld, monkeypatch: Any, dies: bool) -> None:
    """Also where the next try ends before it can find out."""
    world = make([client(n) for n in range(1, 31)])
    connect, write = Database.connection, commit.write_checkpoint
    tries: Counter[int] = Counter()
    written: set[Any] = set()

    def write_or_die(connection: Any, lease: Any, stream: str, expected: int, values: Any) -> None:
        tries[expected] += 1
        if dies and tries[expected] == 2:
            raise DatabaseUnavailable("gone")
        write(connection, lease, stream, expected, values)
        written.add(connection)

    @contextmanager
    def lose_the_answer(database: Database) -> Iterator[Any]:
        with connect(database) as connection:
            yield connection
        if connection in written:
            written.remove(connection)
            raise DatabaseUnavailable("no answer")

    monkeypatch.setattr(commit, "write_checkpoint", write_or_die)
    monkeypatch.setattr(Database, "connection", lose_the_answer)
    run = world.sync_once()
    assert (run["status"], world.counts(run)) == ("completed", (30, 30, 0, 0, 0, 0))
    assert run["steps"][0]["records_created"] == 30
    assert set(tries.values()) == {3 if dies else 2}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "completed"),
        (RateLimited("later", retry_after=9), "parked"),
        (ConnectionFailed("down"), "failed"),
        (Cancelled(), "cancelled"),
    ],
)
def test_an_attempt_ends_as_it_should_while_postgresql_restarts(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch, error: Exception | None, outcome: str
) -> None:
    """Each transaction after the one that takes the run fails at its first try."""
    world = make([client(n) for n in range(1, 31)], worker_max_retries=0)
    world.sync_once()
    del world.source.records[0]
    sync_id = world.trigger(full_refresh=True)
    world.source.before_page = fail_once_at(3, error) if error else None
    connect, us, tries = Database.connection, threading.current_thread(), Counter[bool]()

    @contextmanager
    def restart(database: Database) -> Iterator[Any]:
        ours = threading.current_thread() is us
        tries[ours] += 1
        with connect(database) as connection:
            yield connection
            if ours and tries[ours] % 2 == 0:
                raise DatabaseUnavailable("restarting")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "connection", restart)
        assert world.execute(sync_id) == outcome
    run = world.run(sync_id)
    assert run["status"] == ("running" if outcome == "parked" else outcome)
    assert world.counts(run) == ((20, 0, 0, 20, 0, 0) if error else (29, 0, 0, 29, 1, 0))


def test_a_run_whose_giving_back_was_not_heard_of_is_given_back_once(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make([client(1)])
    world.source.before_page = fail_once_at(1, RateLimited("later", retry_after=9))
    connect, gave = Database.connection, Lease.wait

    @contextmanager
    def lose_the_answer(database: Database) -> Iterator[Any]:
        with connect(database) as connection:
            yield connection
        monkeypatch.setattr(Database, "connection", connect)
        raise DatabaseUnavailable("no answer")

    def wait(lease: Lease, *given: Any, **more: Any) -> None:
        monkeypatch.setattr(Database, "connection", lose_the_answer)
        gave(lease, *given, **more)

    monkeypatch.setattr(Lease, "wait", wait)
    monkeypatch.setattr(Lease, "heartbeat", lambda _: nullcontext())
    sync_id = world.trigger()
    assert world.execute(sync_id) == "skipped"
    run = world.run(sync_id)
    assert (run["status"], run["attempt"], run["error_type"]) == ("running", 0, "rate_limit_exceeded")


def test_a_long_batch_leaves_its_lease_whole(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make([client(1)], lease_seconds=30)
    write, left = commit.write_checkpoint, []

    def write_late(connection: Any, *given: Any) -> None:
        connection.execute("SELECT pg_sleep(0.5)")
        write(connection, *given)
        ends = "SELECT extract(epoch FROM lease_expires_at - now())::float FROM sync_runs"
        left.append(connection.execute(ends).fetchone()[0])

    monkeypatch.setattr(commit, "write_checkpoint", write_late)
    assert world.sync_once()["status"] == "completed"
    assert min(left) >= 30.5


def test_a_destination_without_transactions(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.destination = DictDestination()
    world.source.before_page = fail_once_at(3, ConnectionFailed("cut"))
    sync_id = world.trigger()
    assert world.execute(sync_id) == "retrying"
    world.query("UPDATE sync_runs SET resume_at = now() RETURNING 1")
    assert world.execute(sync_id) == "completed"
    assert len(world.destination.rows) == 30
    assert world.counts(world.run(sync_id)) == (30, 30, 0, 0, 0, 0)


def test_a_destination_without_transactions_is_asked_nothing_without_the_lease(make: MakeWorld) -> None:
    world = make([client(n) for n in range(1, 31)])
    world.destination = DictDestination()
    sync_id = world.trigger()
    world.source.before_page = lambda page: take_over(world) if page == 1 else None
    assert world.execute(sync_id) == "skipped"
    assert world.destination.writes == []


def without_one(make: MakeWorld, count: int) -> World:
    """So many records have been synced to a destination without transactions, and the first has left the source."""
    world = make([client(n) for n in range(1, count + 1)])
    world.destination = DictDestination()
    world.sync_once()
    del world.source.records[0]
    return world


def test_nothing_leaves_a_destination_without_transactions_without_the_lease(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = without_one(make, 5)
    count = DictDestination.count_missing

    def count_and_lose(*given: Any) -> tuple[int, int]:
        take_over(world)
        return count(*given)

    monkeypatch.setattr(DictDestination, "count_missing", count_and_lose)
    assert world.execute(world.trigger(full_refresh=True)) == "skipped"
    assert len(world.destination.rows) == 5


@pytest.mark.parametrize("lost_after", [2, 6])
def test_a_destination_without_transactions_keeps_what_was_read_before_a_kill(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch, lost_after: int
) -> None:
    """Killed in the first look, and in the second."""
    world = without_one(make, 60)
    sync_id = world.trigger(full_refresh=True)
    kill_after_batch(world, monkeypatch, lost_after, sync_id)
    world.query("UPDATE sync_runs SET lease_expires_at = now() - interval '1 second' RETURNING 1")
    world.destination = DictDestination(world.destination.rows)
    assert world.execute(sync_id) == "completed"
    assert world.counts(world.run(sync_id)) == (59, 0, 0, 59, 1, 0)
    assert len(world.destination.rows) == 59


def test_what_leaves_a_destination_without_transactions_is_counted_once(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = without_one(make, 5)
    write, failed = commit.write_checkpoint, [DatabaseUnavailable("restarted")]

    def fail_once_at_the_end(connection: Any, lease: Any, stream: str, expected: int, values: Any) -> None:
        if expected == 1 and failed:
            raise failed.pop()
        write(connection, lease, stream, expected, values)

    monkeypatch.setattr(commit, "write_checkpoint", fail_once_at_the_end)
    assert world.counts(world.sync_once(full_refresh=True)) == (4, 0, 0, 4, 1, 0)
