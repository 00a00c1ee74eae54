"""RedBeat's entries, put right from the table whatever became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery
from redbeat import RedBeatSchedulerEntry

from config.celery import KEY_PREFIX, celery_settings
from config.settings import Settings
from syncapp.models import Schedule
from workers.schedule import Mirror

INDEX = f"{KEY_PREFIX}:schedule"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def soon(**delta: float) -> datetime:
    return now() + timedelta(**delta)


def interval(name: str = "clients", seconds: float = 300, **values: Any) -> Schedule:
    row = {"name": name, "interval_seconds": seconds, "timezone": "UTC", "next_run_at": soon(minutes=4)}
    return Schedule(**(row | {"updated_at": now()} | values))


def cron(line: str, due: datetime, timezone: str = "UTC", name: str = "clients") -> Schedule:
    return Schedule(name=name, cron=line, timezone=timezone, next_run_at=due, updated_at=now())


class World:
    def __init__(self, redis_url: str) -> None:
        self.app = Celery("test", set_as_current=False)
        self.app.config_from_object(celery_settings(Settings(redis_url=redis_url)))
        self.mirror = Mirror(self.app)
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)

    def reflect(self, *rows: Schedule, at: datetime | None = None) -> int:
        return self.mirror.reflect(rows, at or now())

    def entry(self, name: str = "clients") -> Any:
        return RedBeatSchedulerEntry.from_key(f"{KEY_PREFIX}{name}", app=self.app)

    def due(self, name: str = "clients") -> datetime | None:
        score = self.redis.zscore(INDEX, f"{KEY_PREFIX}{name}")
        return None if score is None else datetime.fromtimestamp(float(score), UTC)  # type: ignore[arg-type]

    def close(self) -> None:
        self.redis.close()
        self.app.redbeat_redis.close()


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    made = World(redis_url)
    yield made
    made.close()


def test_an_interval_is_due_when_the_table_says(world: World) -> None:
    row = interval()
    assert world.reflect(row) == 1
    assert world.due() == row.next_run_at
    assert (world.entry().task, world.entry().args) == ("syncapp.tick", ["clients"])
    assert world.entry().schedule.run_every == timedelta(minutes=5)
    assert world.entry().is_due()[0] is False


def test_a_cron_line_in_utc_becomes_celerys(world: World) -> None:
    due = (now() + timedelta(days=1)).replace(hour=3, minute=30, second=0)
    world.reflect(cron("30 3 * * *", due))
    assert world.due() == due
    assert str(world.entry().schedule).startswith("<crontab: 30 3 * * *")


@pytest.mark.parametrize(
    ("line", "timezone"), [("30 3 * * *", "Europe/Berlin"), ("0 0 13 * 5", "UTC"), ("0 0 L * *", "UTC")]
)
def test_what_celery_would_read_otherwise_ticks_every_minute(world: World, line: str, timezone: str) -> None:
    due = datetime(2027, 8, 6, tzinfo=UTC)  # a Friday, but not the 13th, nor the last day of the month
    row = cron(line, due, timezone)
    world.reflect(row)
    assert str(world.entry().schedule).startswith("<crontab: * * * * *")
    assert world.reflect(row) == 0


def test_an_entry_that_is_right_is_not_touched(world: World) -> None:
    row = interval()
    world.reflect(row)
    world.redis.hset(f"{KEY_PREFIX}clients", "mark", "untouched")
    assert world.reflect(row) == 0
    assert world.redis.hget(f"{KEY_PREFIX}clients", "mark") == "untouched"


def test_after_flushall_all_is_as_it_was(world: World) -> None:
    rows = [interval(), interval("appointments", 600)]
    world.reflect(*rows)
    before = {name: world.redis.hgetall(f"{KEY_PREFIX}{name}") for name in ("clients", "appointments")}
    world.redis.flushall()
    assert world.reflect(*rows) == 2
    assert {name: world.redis.hgetall(f"{KEY_PREFIX}{name}") for name in before} == before
    assert world.due("appointments") == rows[1].next_run_at


def test_after_flushall_a_tick_that_was_missed_is_due_at_once(world: World) -> None:
    world.reflect(interval(next_run_at=soon(hours=-2)))
    assert world.entry().is_due()[0] is True
    world.redis.flushall()
    world.reflect(cron("0 * * * *", now().replace(minute=0, second=0) - timedelta(hours=2)))
    assert world.entry().is_due()[0] is True


@pytest.mark.parametrize(
    "damage",
    [
        lambda r, key: r.delete(key),
        lambda r, key: r.zrem(INDEX, key),
        lambda r, key: r.hset(key, "definition", "{"),
        lambda r, key: r.hset(key, "definition", "[]"),
        lambda r, key: r.hdel(key, "definition"),
        lambda r, key: r.hdel(key, "meta"),
        lambda r, key: r.hset(key, "meta", "null"),
        lambda r, key: r.hset(key, "meta", '{"last_run_at": {"__type__": "datetime"}}'),
        lambda r, key: r.zadd(INDEX, {key: 99_999_999_999}),
        lambda r, key: r.hset(
            key, "definition", json.dumps(json.loads(r.hget(key, "definition")) | {"task": "something.else"})
        ),
        lambda r, key: r.hset(
            key, "definition", json.dumps(json.loads(r.hget(key, "definition")) | {"enabled": False})
        ),
    ],
)
def test_an_entry_edited_by_hand_is_put_right(world: World, damage: Any) -> None:
    row = interval()
    world.reflect(row)
    before = world.redis.hgetall(f"{KEY_PREFIX}clients")
    damage(world.redis, f"{KEY_PREFIX}clients")
    assert world.reflect(row) == 1
    assert world.redis.hgetall(f"{KEY_PREFIX}clients") == before
    assert world.due() == row.next_run_at
    assert world.reflect(row) == 0


def test_what_is_not_in_the_table_goes(world: World) -> None:
    world.reflect(interval(), interval("dropped"))
    assert world.reflect(interval(), interval("dropped", next_run_at=None)) == 1
    assert world.redis.keys(f"{KEY_PREFIX}dropped") == []
    assert world.due("dropped") is None
    assert world.due("clients") is not None


def test_a_changed_schedule_reaches_redis(world: World) -> None:
    world.reflect(interval())
    row = interval(seconds=3600, next_run_at=soon(minutes=60))
    assert world.reflect(row) == 1
    assert world.due() == row.next_run_at
    assert world.entry().schedule.run_every == timedelta(hours=1)


def test_beats_lateness_does_not_add_up(world: World) -> None:
    row = interval(next_run_at=now())
    world.reflect(row)
    world.entry().next(last_run_at=soon(seconds=20))  # beat ticks late, and counts from there
    row.next_run_at = soon(seconds=300)
    assert world.reflect(row) == 1
    assert world.due() == row.next_run_at


def test_a_tick_on_its_way_is_left_alone_and_a_lost_one_is_sent_again(world: World) -> None:
    row = interval(next_run_at=now())
    world.reflect(row)
    world.entry().next()  # beat has ticked; PostgreSQL does not know of it yet
    assert world.reflect(row, at=soon(seconds=5)) == 0
    assert world.entry().is_due()[0] is False
    assert world.reflect(row, at=soon(seconds=90)) == 1
    assert world.entry().is_due()[0] is True
    assert world.reflect(row, at=soon(seconds=95)) == 0
