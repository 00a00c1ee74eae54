"""The numbers of a sync that can be changed while it runs: the table `sync_setting_values` has the word.

The environment gives each its first value; afterwards they are changed through the API, or by whoever writes into the
table. The two that every sync has, its interval and its switch, are its schedule's (`syncapp.schedules`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from config.settings import Settings
from syncapp.db import Database
from syncapp.definition import Setting
from syncapp.models import Schedule
from syncapp.times import show_duration

log = structlog.get_logger(__name__)

WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
READ = "SELECT setting_key, setting_value, description FROM sync_setting_values WHERE sync = %s"
# By key, as everybody locks them: two who do so at once wait for each other, and never each for the other.
SEED = """
INSERT INTO sync_setting_values AS kept (sync, setting_key, setting_value, description)
SELECT %(sync)s, key, value, description
FROM unnest(%(keys)s::text[], %(values)s::text[], %(descriptions)s::text[]) AS given (key, value, description)
ORDER BY key
ON CONFLICT (sync, setting_key) DO UPDATE SET description = excluded.description
    WHERE kept.description <> excluded.description"""

_warned: dict[tuple[str, str], str] = {}  # by setting, the value that was complained of last


def read_settings(
    database: Database, settings: Settings, sync_name: str, definitions: Sequence[Setting]
) -> dict[str, int]:
    """The values that hold now, by key; `settings` are the environment's, which fill in what is missing.

    One query, cheap enough to be asked before every batch. A value in the table that nobody can use (by hand anything
    can be written there) is passed over for the first one, and a warning says so, once. Raises DatabaseUnavailable.
    """
    with database.statements() as connection:
        found = seed_settings(connection, settings, sync_name, definitions)
    return {one.key: _usable(found.get(one.key), sync_name, one, settings) for one in definitions}


def seed_settings(
    connection: psycopg.Connection[Any], settings: Settings, sync_name: str, definitions: Sequence[Setting]
) -> dict[str, str]:
    """Makes the rows that are missing, and has descriptions follow the code. The texts that stand there, by key."""
    rows = connection.execute(READ, (sync_name,)).fetchall()
    described = {key: description for key, _, description in rows}
    if any(described.get(one.key) != one.description for one in definitions):
        values = {
            "sync": sync_name,
            "keys": [one.key for one in definitions],
            "values": [str(one.first(settings)) for one in definitions],
            "descriptions": [one.description for one in definitions],
        }
        connection.execute(SEED, values)
        rows = connection.execute(READ, (sync_name,)).fetchall()
    return {key: value for key, value, _ in rows}


def parse_whole(value: object, least: int, most: int) -> int:
    """A whole number as JSON or text has it. Raises ValueError that says what it must be."""
    number = int(value) if isinstance(value, str) and WHOLE.fullmatch(value := value.strip()) else value
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise ValueError(f"Must be a whole number from {least} to {most}.")
    return number


def show_interval(cron: str | None, seconds: float | None) -> str:
    """A schedule has either: its cron line, or its interval as `12h`."""
    return cron or show_duration(seconds or 0)


def show_schedule(row: Schedule) -> dict[str, str]:
    """The two settings that are the schedule's, as the view `sync_settings` shows them."""
    every = show_interval(row.cron, row.interval_seconds)
    return {"sync_interval": every, "enable_auto": "true" if row.enabled else "false"}


def _usable(text: str | None, sync_name: str, setting: Setting, settings: Settings) -> int:
    first = setting.first(settings)
    if text is None:  # removed this very moment
        return first
    try:
        return parse_whole(text, setting.least, setting.most)
    except ValueError as error:
        if _warned.get((sync_name, setting.key)) != text:
            _warned[sync_name, setting.key] = text
            what = {"sync": sync_name, "setting_key": setting.key, "setting_value": text[:100]}
            log.warning("setting.unusable", **what, reason=str(error), used=first)
        return first
