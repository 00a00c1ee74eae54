"""What the processes of a running `syncapp up` were given, written down for commands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from syncapp.embedded.home import Home
from syncapp.embedded.server import command_line

FILE = "environment.json"
NAMES = ("DATABASE_URL", "REDIS_URL", "MOCK_API_URL", "MOCK_API_KEY", "MOCK_FALLBACK")


def record(home: Home, environment: Mapping[str, str]) -> None:
    """Writes down those of `NAMES` that are set, whether by `syncapp up` or by its user. Mode 0600."""
    home.write(FILE, orjson.dumps({name: environment[name] for name in NAMES if environment.get(name)}).decode())


def environment_beside(folder: Path) -> dict[str, str] | None:
    """What was recorded by the `syncapp up` that runs on this data folder, None where none runs. Makes no folder."""
    try:
        holder = (folder / "lock").read_text().strip()
        if not holder.isdigit() or not command_line(int(holder)):
            return None
        return dict(orjson.loads((folder / FILE).read_bytes()))
    except (OSError, ValueError):  # nothing there, not ours to read, or half of a start
        return None
