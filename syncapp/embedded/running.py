"""What the processes of a running `syncapp up` were given, written down for commands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson
from pydantic import AliasChoices

from config.settings import Settings
from syncapp.embedded.home import Home
from syncapp.embedded.server import command_line

FILE = "environment.json"
ADDRESS = "api-url"
# What a command has no use for, or is part of DATABASE_URL.
LEFT_OUT = ("syncapp_home", "syncapp_admin", "postgres_", "log_", "port", "flower_port", "web_concurrency", "dyno")


def record(home: Home, environment: Mapping[str, str]) -> None:
    """Writes down the settings that were made, by `syncapp up` or by its user, and where the API is. Mode 0600."""
    made: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else [name.upper()]
        value = next((environment[str(one)] for one in names if environment.get(str(one))), None)
        if value is not None and not name.startswith(LEFT_OUT):
            made[name.upper()] = value
    home.write(FILE, orjson.dumps(made).decode())
    if "PORT" in environment:
        home.write(ADDRESS, f"http://127.0.0.1:{environment['PORT']}")


def environment_beside(folder: Path) -> dict[str, str] | None:
    """What was recorded by the `syncapp up` that runs on this data folder, None where none runs. Makes no folder."""
    try:
        holder = (folder / "lock").read_text().strip()
        if not holder.isdigit() or not command_line(int(holder)):
            return None
        return dict(orjson.loads((folder / FILE).read_bytes()))
    except (OSError, ValueError):  # nothing there, not ours to read, or half of a start
        return None
