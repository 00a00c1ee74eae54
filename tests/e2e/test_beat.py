"""Beat as it is deployed: one ticks, whatever is killed, flushed or restarted."""

from __future__ import annotations

import signal

import pytest
import redis

from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer
from tests.e2e.fleet import Fleet, Member
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

SECONDS = 2  # shorter than anybody may set over the API


def every_two_seconds(fleet: Fleet) -> None:
    """The schedule of `clients`, on a grid that begins now."""
    fleet.execute(
        "INSERT INTO schedules (name, interval_seconds, next_run_at) VALUES ('clients', %s, now()) "
        "ON CONFLICT (name) DO UPDATE SET interval_seconds = %s, cron = NULL, next_run_at = now()",
        SECONDS,
        SECONDS,
    )


def ticks(fleet: Fleet) -> int:
    return len(fleet.rows("SELECT 1 FROM sync_runs WHERE trigger = 'schedule' AND status = 'completed'"))


def go_on(fleet: Fleet, count: int = 2) -> None:
    """Waits for that many more runs."""
    before = ticks(fleet)
    wait_for(lambda: ticks(fleet) >= before + count, deadline=60, what="more scheduled runs")


def leader(beats: list[Member]) -> Member:
    def look() -> Member | None:
        leading = [beat for beat in beats if beat.alive and "beat.leads" in beat.text]
        assert len(leading) < 2
        return leading[0] if leading else None

    return wait_for(look, what="a beat that leads")


def test_of_two_beats_one_ticks_and_the_other_takes_over(fleet: Fleet) -> None:
    fleet.worker()
    every_two_seconds(fleet)
    (start,) = fleet.rows("SELECT next_run_at AS at FROM schedules WHERE name = 'clients'")
    beats = [fleet.beat(), fleet.beat()]
    go_on(fleet)
    first = leader(beats)
    first.end(signal.SIGKILL)
    beats.remove(first)
    assert leader(beats) is not first
    go_on(fleet)
    (end,) = fleet.rows("SELECT next_run_at AS at FROM schedules WHERE name = 'clients'")
    passed = (end["at"] - start["at"]).total_seconds() / SECONDS
    assert passed == int(passed)  # still on its grid
    assert len(fleet.rows("SELECT 1 FROM sync_runs")) <= passed


def test_a_beat_that_is_asked_to_end_leaves_no_lock_behind(fleet: Fleet) -> None:
    beat = fleet.beat()
    wait_for(lambda: fleet.rows("SELECT 1 FROM processes WHERE kind = 'scheduler'"))
    assert beat.end() == 0
    with redis.Redis.from_url(fleet.redis_url) as client:
        assert client.keys("*lock*") == []
    assert fleet.rows("SELECT 1 FROM processes") == []


def test_beat_outlives_flushall(fleet: Fleet) -> None:
    fleet.worker()
    beat = fleet.beat()
    every_two_seconds(fleet)
    go_on(fleet)
    fleet.flush()
    beat.says("beat.lock_lost")
    go_on(fleet, 3)
    assert beat.alive


def test_beat_and_worker_outlive_a_redis_that_restarts(fleet: Fleet, valkey: ValkeyServer) -> None:
    worker = fleet.worker()
    beat = fleet.beat()
    every_two_seconds(fleet)
    go_on(fleet)
    valkey.stop()
    beat.says("redis.away")
    worker.says("redis.away")
    valkey.start()
    go_on(fleet, 3)
    assert beat.alive
    assert worker.alive


def test_beat_and_worker_outlive_a_postgresql_that_restarts(fleet: Fleet, postgres: PostgresServer) -> None:
    worker = fleet.worker()
    beat = fleet.beat()
    every_two_seconds(fleet)
    go_on(fleet)
    postgres.stop()
    worker.says("postgres.away")
    beat.says("postgres.away")
    postgres.start()
    go_on(fleet, 3)
    assert beat.alive
    assert worker.alive
    assert worker.text.count("postgres.away") == 1


def test_ticks_missed_while_beat_was_down_are_made_up_for_once(fleet: Fleet) -> None:
    fleet.execute("INSERT INTO schedules (name, cron, next_run_at) VALUES ('clients', '0 */6 * * *', '2026-01-01')")
    fleet.worker()
    fleet.beat()
    wait_for(lambda: ticks(fleet) == 1, what="the run that was missed")
    (row,) = fleet.rows("SELECT next_run_at > now() AS ahead, last_run_at FROM schedules WHERE name = 'clients'")
    assert row["ahead"]
    fleet.flush()
    wait_for(lambda: redis_entries(fleet) == 2, what="the mirror")
    assert len(fleet.rows("SELECT 1 FROM sync_runs")) == 1


def redis_entries(fleet: Fleet) -> int:
    with redis.Redis.from_url(fleet.redis_url) as client:
        return int(client.zcard("syncapp:beat::schedule"))  # type: ignore[arg-type]


def test_a_disabled_schedule_is_not_in_redis(fleet: Fleet) -> None:
    fleet.worker()
    wait_for(lambda: redis_entries(fleet) == 2)
    fleet.execute("UPDATE schedules SET enabled = false WHERE name = 'clients'")
    wait_for(lambda: redis_entries(fleet) == 1)
    (row,) = fleet.rows("SELECT next_run_at FROM schedules WHERE name = 'clients'")
    assert row["next_run_at"] is None
