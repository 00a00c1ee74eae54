"""The settings that hold while a sync runs: read anew, made where missing, believed only where they can be used."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.rows import dict_row
from structlog.testing import capture_logs

from beat_schedule import BEAT_SCHEDULE
from config.settings import Settings
from syncapp import sync_settings
from syncapp.audit import Actor
from syncapp.commands import change_settings, complete_settings, start_properties, stop_properties
from syncapp.db import Database
from syncapp.errors import ValidationFailed
from syncapp.schedules import align_schedules, change_schedule
from syncapp.sync_settings import read_settings
from syncapp.syncs.properties import SETTINGS
from syncapp.times import show_duration

FIRST = {"batch_size": 10, "max_concurrent": 5, "retry_attempts": 3, "rate_limit": 10}
ANN = Actor("cli:ann", "r1")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    database: Database
    settings: Settings

    def read(self, definitions: Any = SETTINGS) -> dict[str, int]:
        return read_settings(self.database, self.settings, "properties", definitions)

    def change(self, *changes: tuple[str, Any]) -> None:
        change_settings(self.database, self.settings, now, changes, ANN)

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self.database.connection() as connection:
            return connection.cursor(row_factory=dict_row).execute(statement, values).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        with self.database.connection() as connection:
            connection.execute(statement, values)

    def shown(self) -> dict[str, str]:
        """As a person sees them with SQL."""
        found = self.rows("SELECT * FROM sync_settings ORDER BY id")
        assert all(set(row) == {"id", "setting_key", "setting_value", "description", "updated_at"} for row in found)
        assert len({row["id"] for row in found}) == len(found)
        return {row["setting_key"]: row["setting_value"] for row in found}

    def kept(self) -> list[dict[str, Any]]:
        """All that a change may touch."""
        names = ("sync_setting_values", "schedules", "audit_log")
        return [row for name in names for row in self.rows(f"SELECT t::text FROM {name} t ORDER BY 1")]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    settings = Settings(database_url=database_url, cupid_api_key="key", mock_api_url="http://127.0.0.1:9")
    made = World(Database(database_url, pool_size=10), settings)
    sync_settings._warned.clear()
    yield made
    made.database.dispose()


class TestReading:
    """What a worker is told before each batch."""

    def test_the_environment_gives_the_first_values(self, world: World) -> None:
        assert world.read() == FIRST
        world.settings = world.settings.model_copy(update={"sync_batch_size": 50, "sync_rate_limit": 2})
        assert world.read() == FIRST  # afterwards the table has the word

    def test_the_environment_is_asked_where_a_row_is_missing(self, world: World) -> None:
        world.read()
        world.execute("DELETE FROM sync_setting_values WHERE setting_key = 'rate_limit'")
        world.settings = world.settings.model_copy(update={"sync_rate_limit": 2})
        assert world.read() == FIRST | {"rate_limit": 2}
        assert len(world.rows("SELECT * FROM sync_setting_values")) == 4

    def test_what_is_there_costs_one_statement(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.read()
        before = world.rows("SELECT xmin::text, ctid::text, * FROM sync_setting_values ORDER BY id")
        monkeypatch.setattr(sync_settings, "SEED", "SELECT 1/0")
        assert world.read() == FIRST
        assert world.rows("SELECT xmin::text, ctid::text, * FROM sync_setting_values ORDER BY id") == before

    def test_what_somebody_writes_with_sql_holds(self, world: World) -> None:
        world.read()
        world.execute("UPDATE sync_setting_values SET setting_value = ' 7 ' WHERE setting_key = 'batch_size'")
        assert world.read() == FIRST | {"batch_size": 7}

    @pytest.mark.parametrize("value", ["", "many", "0", "101", "5.5", "9" * 4_000, "-1", "ten", "1;2", "NaN"])
    def test_what_nobody_can_use_is_passed_over_and_told_once(self, world: World, value: str) -> None:
        world.read()
        world.execute("UPDATE sync_setting_values SET setting_value = %s WHERE setting_key = 'batch_size'", value)
        with capture_logs() as lines:
            assert [world.read() for _ in range(3)] == [FIRST] * 3
        [line] = [one for one in lines if one["event"] == "setting.unusable"]
        assert (line["setting_key"], line["used"], line["log_level"]) == ("batch_size", 10, "warning")
        assert line["setting_value"] == value[:100]
        assert "from 1 to 100" in line["reason"]

    def test_descriptions_follow_the_code_and_nothing_else_does(self, world: World) -> None:
        world.change(("batch_size", 20))
        before = world.rows("SELECT * FROM sync_setting_values ORDER BY id")
        changed = (replace(SETTINGS[0], description="Something else"), *SETTINGS[1:])
        assert world.read(changed) == FIRST | {"batch_size": 20}
        told = {row["setting_key"]: row for row in world.rows("SELECT * FROM sync_setting_values")}
        assert told["batch_size"] == before[0] | {"description": "Something else"}
        assert world.read() == FIRST | {"batch_size": 20}
        assert world.rows("SELECT * FROM sync_setting_values ORDER BY id") == before

    def test_many_who_ask_first_at_once(self, world: World) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: world.read(), range(16)))
        assert found == [FIRST] * 16
        assert len(world.rows("SELECT * FROM sync_setting_values")) == 4


class TestTheViews:
    """What people read with SQL."""

    def test_all_are_there_before_anybody_has_asked(self, world: World) -> None:
        assert world.shown() == {}
        align_schedules(world.database, world.settings, now, BEAT_SCHEDULE)
        numbers = {key: str(value) for key, value in FIRST.items()}
        assert world.shown() == numbers | {"sync_interval": "12h", "enable_auto": "true"}

    def test_the_environment_gives_the_schedule_its_first_values_too(self, world: World) -> None:
        world.settings = world.settings.model_copy(update={"sync_interval": 86_400.0, "sync_enable_auto": False})
        complete_settings(world.database, world.settings, now)
        assert world.shown().items() >= {"sync_interval": "24h", "enable_auto": "false"}.items()

    def test_a_cron_line_is_shown_as_it_is(self, world: World) -> None:
        change_schedule(world.database, world.settings, now, "properties", ANN, cron="0 */8 * * *")
        assert world.shown()["sync_interval"] == "0 */8 * * *"

    def test_sql_and_python_show_the_same_duration(self, world: World) -> None:
        chosen = random.Random(4)
        cases = [chosen.uniform(-5, 10 ** chosen.randint(0, 7)) for _ in range(400)]
        cases += [0, 0.5, 1.5, 2.5, 59.5, 59.9, 60, 3_599.5, 3_600, 86_399, 86_400, 172_799.4, 172_800, 604_800]
        with world.database.connection() as connection:
            query = "SELECT show_duration(one) FROM unnest(%s::float8[]) WITH ORDINALITY AS t (one, n) ORDER BY n"
            shown = [text for (text,) in connection.execute(query, ([float(one) for one in cases],))]
        assert shown == [show_duration(one) for one in cases]


class TestChanging:
    """All of it or none, in one transaction."""

    def test_a_change_is_seen_by_all(self, world: World) -> None:
        world.change(("rate_limit", "4"), ("batch_size", 25), ("sync_interval", "6h"), ("enable_auto", False))
        assert world.read() == FIRST | {"rate_limit": 4, "batch_size": 25}
        assert world.shown().items() >= {"sync_interval": "6h", "enable_auto": "false", "batch_size": "25"}.items()
        [row] = world.rows("SELECT * FROM schedules WHERE name = 'properties'")
        assert (row["interval_seconds"], row["enabled"], row["next_run_at"]) == (21_600, False, None)

    def test_it_is_told_by_whom_and_what_differs(self, world: World) -> None:
        world.change(("rate_limit", 4), ("batch_size", 10), ("sync_interval", "6h"))
        entries = world.rows("SELECT actor, request_id, action, target, details FROM audit_log ORDER BY id")
        assert [entry["action"] for entry in entries] == ["schedule.changed", "settings.changed"]
        assert entries[1] == {
            "actor": "cli:ann",
            "request_id": "r1",
            "action": "settings.changed",
            "target": "properties",
            "details": {
                "before": {"sync_interval": "12h", "rate_limit": "10"},
                "after": {"sync_interval": "6h", "rate_limit": "4"},
            },
        }

    def test_the_same_once_more_changes_nothing(self, world: World) -> None:
        world.change(("rate_limit", 4), ("sync_interval", "6h"), ("enable_auto", "false"), ("batch_size", "10"))
        before = world.kept()
        world.change(("rate_limit", " 4 "), ("sync_interval", "360m"), ("enable_auto", False), ("batch_size", 10.0))
        world.change(("sync_interval", 21_600))
        assert world.kept() == before

    def test_only_what_changes_is_dated_anew(self, world: World) -> None:
        world.read()
        before = {row["setting_key"]: row["updated_at"] for row in world.rows("SELECT * FROM sync_setting_values")}
        world.change(("rate_limit", 4), ("batch_size", 10))
        after = {row["setting_key"]: row["updated_at"] for row in world.rows("SELECT * FROM sync_setting_values")}
        assert {key for key in after if after[key] != before[key]} == {"rate_limit"}
        assert after["rate_limit"] > before["rate_limit"]

    @pytest.mark.parametrize("bad", [("retry_attempts", 11), ("nothing", 1), ("rate_limit", 3), ("enable_auto", "no")])
    def test_one_that_is_wrong_leaves_all_as_they_were(self, world: World, bad: tuple[str, Any]) -> None:
        complete_settings(world.database, world.settings, now)
        before = world.kept()
        with pytest.raises(ValidationFailed) as caught:
            world.change(("rate_limit", 4), ("sync_interval", "6h"), bad, ("batch_size", 20))
        assert list(caught.value.details["fields"]) == [bad[0]]
        assert world.kept() == before

    def test_all_that_is_wrong_is_named(self, world: World) -> None:
        with pytest.raises(ValidationFailed) as caught:
            world.change(("rate_limit", 0), ("sync_interval", "1m"), ("enable_auto", 1), ("x", 1), ("batch_size", 5))
        assert caught.value.details["fields"] == {
            "rate_limit": ["Must be a whole number from 1 to 100."],
            "sync_interval": ["Must be a duration from 5m to 7d, such as 12h or 2h30m."],
            "enable_auto": ["Must be true or false."],
            "x": [
                "There is no such setting; there are sync_interval, enable_auto, batch_size, max_concurrent, "
                "retry_attempts, rate_limit."
            ],
        }

    def test_a_value_that_was_of_no_use_is_put_right(self, world: World) -> None:
        world.read()
        world.execute("UPDATE sync_setting_values SET setting_value = 'many' WHERE setting_key = 'batch_size'")
        world.change(("batch_size", 10))
        assert world.shown()["batch_size"] == "10"

    def test_a_cron_line_gives_way_to_an_interval(self, world: World) -> None:
        change_schedule(world.database, world.settings, now, "properties", ANN, cron="0 */8 * * *")
        world.change(("enable_auto", True))
        assert world.shown()["sync_interval"] == "0 */8 * * *"
        world.change(("sync_interval", "8h"))
        [row] = world.rows("SELECT cron, interval_seconds FROM schedules WHERE name = 'properties'")
        assert row == {"cron": None, "interval_seconds": 28_800}

    @pytest.mark.slow
    def test_who_changes_the_same_at_once_waits_and_no_more(self, world: World) -> None:
        """Each in another order, beside keepers that align and commands that switch."""
        keys = [("rate_limit", 1), ("batch_size", 1), ("retry_attempts", 1), ("max_concurrent", 1)]
        schedule = [("sync_interval", "6h"), ("enable_auto", True)]

        def work(number: int) -> None:
            chosen = random.Random(number)
            changes = [(key, chosen.randint(1, 9)) for key, _ in keys] + schedule
            chosen.shuffle(changes)
            world.change(*changes)
            align_schedules(world.database, world.settings, now, BEAT_SCHEDULE)
            start_properties(world.database, world.settings, now, ANN, interval=f"{chosen.randint(1, 9)}h")
            stop_properties(world.database, world.settings, now, ANN)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(60)))
        assert set(world.shown()) == set(FIRST) | {"sync_interval", "enable_auto"}

    def test_a_change_is_whole_to_whoever_looks_on(self, world: World) -> None:
        """Two pairs of values, changed back and forth: nobody ever sees one of each."""
        world.change(("rate_limit", 1), ("batch_size", 1), ("sync_interval", "1h"))
        pairs = {("1", "1", "1h"), ("9", "9", "9h")}
        query = """SELECT array_agg(setting_value ORDER BY setting_key) AS seen FROM sync_settings
            WHERE setting_key IN ('rate_limit', 'batch_size', 'sync_interval')"""

        def turn(number: int) -> None:
            value = 9 if number % 2 else 1
            world.change(("rate_limit", value), ("batch_size", value), ("sync_interval", f"{value}h"))

        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(lambda: [turn(number) for number in range(40)])
            seen = {tuple(world.rows(query)[0]["seen"])}
            while not done.done():
                seen.add(tuple(world.rows(query)[0]["seen"]))
            done.result()
        assert seen <= pairs
