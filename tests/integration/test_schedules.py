"""The table `schedules`: first values, changes, and what a tick starts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from beat_schedule import BEAT_SCHEDULE
from config.settings import Settings
from syncapp.audit import SYSTEM
from syncapp.commands.fire import fire
from syncapp.db import Database
from syncapp.errors import NotFound, ValidationFailed
from syncapp.schedules import align_schedules, change_schedule

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


class World:
    def __init__(self, url: str, dsn: str) -> None:
        self.database = Database(url, pool_size=10)
        self.dsn = dsn
        self.settings = Settings(database_url=url, mock_api_url="http://127.0.0.1:9")
        self.now = NOON

    def clock(self) -> datetime:
        return self.now

    def align(self, settings: Settings | None = None) -> dict[str, Any]:
        rows = align_schedules(self.database, settings or self.settings, self.clock, BEAT_SCHEDULE)
        return {row.name: row for row in rows}

    def change(self, name: str, **values: Any) -> Any:
        return change_schedule(self.database, self.settings, self.clock, name, SYSTEM, **values)

    def fire(self, name: str = "clients") -> list[str]:
        return [run.sync_id for run in fire(self.database, self.settings, self.clock, name)]

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return]

    def execute(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(query, values)  # type: ignore[call-overload]

    def schedule(self, name: str = "clients") -> dict[str, Any]:
        return self.rows("SELECT * FROM schedules WHERE name = %s", name)[0]

    def end_runs(self) -> None:
        self.execute("UPDATE sync_runs SET status = 'completed'")


@pytest.fixture
def world(database_url: str, database_dsn: str) -> Iterator[World]:
    made = World(database_url, database_dsn)
    yield made
    made.database.dispose()


def test_the_first_values_come_from_the_registry(world: World) -> None:
    rows = world.align()
    first = {name: row.cron or row.interval_seconds for name, row in rows.items()}
    assert first == {"clients": "0 */6 * * *", "appointments": "0 */2 * * *", "cliniko": 3_600, "properties": 43_200}
    assert rows["clients"].next_run_at == minutes(6 * 60)
    assert rows["appointments"].next_run_at == minutes(2 * 60)


def test_rows_that_exist_stand(world: World) -> None:
    world.change("clients", interval="24h", timezone="Europe/Berlin")
    world.change("appointments", enabled=False)
    rows = world.align()
    assert (rows["clients"].cron, rows["clients"].interval_seconds) == (None, 86_400)
    assert rows["clients"].timezone == "Europe/Berlin"
    assert (rows["appointments"].enabled, rows["appointments"].next_run_at) == (False, None)


def test_a_sync_that_is_not_configured_is_not_scheduled_until_it_is(world: World) -> None:
    bare = Settings(database_url=world.settings.database_url)
    assert {row.next_run_at for row in world.align(bare).values()} == {None}
    assert world.align()["clients"].next_run_at == minutes(360)
    assert world.align(bare)["clients"].next_run_at is None


def test_a_change_counts_from_now(world: World) -> None:
    world.align()
    world.now = minutes(7)
    row = world.change("clients", interval="2h30m")
    assert (row.interval_seconds, row.next_run_at) == (9_000, minutes(157))
    row = world.change("clients", cron="15  14 * * *", timezone="Europe/Berlin")
    assert (row.cron, row.interval_seconds, row.next_run_at) == ("15 14 * * *", None, minutes(75))
    world.now = minutes(8)
    assert world.change("clients", enabled=True).next_run_at == minutes(75)
    assert world.change("clients", enabled=False).next_run_at is None
    assert world.change("clients", enabled=True).next_run_at == minutes(75)
    assert world.schedule()["cron"] == "15 14 * * *"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"cron": "* * * *"}, "cron"),
        ({"cron": "0 0 0 * * *"}, "cron"),
        ({"cron": "99 * * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"interval": 59}, "interval"),
        ({"interval": "32d"}, "interval"),
        ({"interval": "soon"}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"interval": "1h", "cron": "0 * * * *"}, "interval"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"timezone": "Europe"}, "timezone"),
    ],
)
def test_what_is_not_valid_changes_nothing(world: World, values: dict[str, Any], field: str) -> None:
    world.align()
    before = world.schedule()
    with pytest.raises(ValidationFailed) as caught:
        world.change("clients", enabled=False, **values)
    assert list(caught.value.details["fields"]) == [field]
    assert world.schedule() == before


def test_a_change_is_told_by_what_differs(world: World) -> None:
    world.change("clients", interval="2h", enabled=False)
    world.change("clients", interval="2h")
    [entry] = world.rows("SELECT actor, action, organization_id, target, details FROM audit_log")
    assert entry == {
        "actor": "system",
        "action": "schedule.changed",
        "organization_id": None,
        "target": "clients",
        "details": {
            "before": {"cron": "0 */6 * * *", "interval_seconds": None, "enabled": True},
            "after": {"cron": None, "interval_seconds": 7_200, "enabled": False},
        },
    }


def test_an_unknown_schedule(world: World) -> None:
    with pytest.raises(NotFound):
        world.change("nothing", enabled=False)


def test_a_tick_starts_one_run_and_keeps_to_the_schedule(world: World) -> None:
    world.align()
    world.now = minutes(360.05)
    (sync_id,) = world.fire()
    assert world.rows("SELECT sync_id, trigger, status, organization_id FROM sync_runs") == [
        {"sync_id": sync_id, "trigger": "schedule", "status": "starting", "organization_id": "default"}
    ]
    assert world.schedule()["last_run_at"] == world.now
    assert world.schedule()["next_run_at"] == minutes(720)


def test_a_tick_before_its_time_starts_nothing_unless_by_a_moment(world: World) -> None:
    world.align()
    world.now = minutes(359)
    assert world.fire() == []
    world.now = minutes(359.7)
    assert len(world.fire()) == 1
    world.end_runs()
    world.now = minutes(360)
    assert world.fire() == []
    assert world.schedule()["next_run_at"] == minutes(720)


def test_a_tick_that_comes_twice_at_once_starts_one_run(world: World) -> None:
    world.align()
    world.now = minutes(361)
    with ThreadPoolExecutor(8) as pool:
        started = [sync_id for found in pool.map(lambda _: world.fire(), range(8)) for sync_id in found]
    assert len(started) == 1
    assert len(world.rows("SELECT 1 FROM sync_runs")) == 1


def test_ticks_that_were_missed_are_made_up_for_once(world: World) -> None:
    world.change("clients", interval="1h")
    world.now = minutes(60 * 30 + 20)
    assert len(world.fire()) == 1
    world.end_runs()
    assert world.fire() == []
    assert world.schedule()["next_run_at"] == minutes(60 * 31)


def test_a_run_in_flight_is_not_doubled_and_the_schedule_goes_on(world: World) -> None:
    world.align()
    world.now = minutes(361)
    assert len(world.fire()) == 1
    world.now = minutes(721)
    assert world.fire() == []
    assert world.schedule()["next_run_at"] == minutes(1080)
    assert len(world.rows("SELECT 1 FROM sync_runs")) == 1


def test_a_run_in_flight_that_was_asked_for_something_else_is_no_error(world: World) -> None:
    world.align()
    world.now = minutes(361)
    world.fire()
    world.execute("UPDATE sync_runs SET allow_mass_delete = true")
    world.now = minutes(721)
    assert world.fire() == []


def test_a_disabled_schedule_starts_nothing(world: World) -> None:
    world.align()
    world.change("clients", enabled=False)
    world.now = minutes(10_000)
    assert world.fire() == []
    assert world.schedule()["last_run_at"] is None


def test_a_schedule_that_is_no_longer_there_starts_nothing(world: World) -> None:
    assert world.fire("gone") == []


def test_an_inactive_organization_starts_nothing(world: World) -> None:
    world.align()
    world.execute("UPDATE organizations SET active = false")
    world.now = minutes(361)
    assert world.fire() == []


def open_circuit(world: World) -> None:
    world.execute(
        "INSERT INTO circuits (sync, organization_id, open_until) "
        "VALUES ('clients', 'default', now() + interval '1 hour')"
    )


def test_an_open_circuit_moves_a_cron_lines_tick_to_its_end(world: World) -> None:
    world.align()
    open_circuit(world)
    world.now = minutes(361)
    assert world.fire() == []
    moved = world.schedule()["next_run_at"]
    assert minutes(361) < moved <= minutes(422)
    world.execute("DELETE FROM circuits")
    world.now = moved
    assert len(world.fire()) == 1
    assert world.schedule()["next_run_at"] == minutes(720)


def test_an_open_circuit_moves_no_interval_off_its_grid(world: World) -> None:
    world.change("clients", interval="2h")
    open_circuit(world)
    world.now = minutes(121)
    assert world.fire() == []
    assert world.schedule()["next_run_at"] == minutes(240)


def test_a_tick_that_comes_early_is_not_undone(world: World) -> None:
    """Every keeper aligns every few seconds, between the early tick and its time too."""
    world.align()
    planned = world.schedule()["next_run_at"]
    world.now = planned - timedelta(seconds=20)
    assert len(world.fire()) == 1
    world.end_runs()
    for seconds in (-17, 0, 1):
        world.now = planned + timedelta(seconds=seconds)
        world.align()
        assert world.fire() == []


def test_an_interval_does_not_drift_with_early_ticks(world: World) -> None:
    first = world.change("clients", interval="1h").next_run_at
    for number in range(3):
        world.now = first + timedelta(hours=number, seconds=-20)
        assert len(world.fire()) == 1
        world.end_runs()
        world.now += timedelta(seconds=3)
        world.align()
    assert world.schedule()["next_run_at"] == first + timedelta(hours=3)


def test_an_hour_that_comes_twice_runs_once_however_often_it_is_aligned(world: World) -> None:
    world.now = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    world.change("clients", cron="30 2 * * *", timezone="Europe/Berlin")
    started = 0
    for _ in range(3 * 60):
        world.now += timedelta(minutes=1)
        world.align()
        started += len(world.fire())
        world.end_runs()
    assert started == 1
