"""What commands print: one JSON document, or tables for people. Nothing else ever goes to standard output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncapp.times import show_time

JSON_ASKED = "syncapp.json"
JSON_LINES = "syncapp.json_lines"
WIDE = 1_000  # columns where the output is no terminal: nothing is folded or cut for a pipe
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NOTHING = "-"
STYLES = {
    "completed": "green",
    "running": "cyan",
    "starting": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "mock": "yellow",
    "healthy": "green",
    "ok": "green",
    "warning": "yellow",
    "degraded": "yellow",
    "unhealthy": "red",
    "stopped": "dim",
    NOTHING: "dim",
}


def json_asked() -> bool:
    """Whether the command that runs was given `--json`, wherever it stood."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(JSON_ASKED))


def emit(document: Any, show: Callable[[], None]) -> None:
    """Prints the document where JSON was asked for, else what `show` prints."""
    if json_asked():
        click.echo(dump(document))
    else:
        show()


def dump(document: Any) -> str:
    """JSON with times in RFC 3339, UTC, milliseconds and Z, as the API writes it."""
    context = click.get_current_context(silent=True)
    indent = None if context is not None and context.meta.get(JSON_LINES) else 2
    options = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(document, default=_default, option=options).decode()
    except orjson.JSONEncodeError:  # a stored record may hold an integer of more than 64 bits
        return json.dumps(document, default=_default, allow_nan=False, indent=indent)


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return show_time(value)
    if hasattr(value, "_mapping"):  # a row of a query
        return dict(value._mapping)
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(f"{type(value).__name__} is not JSON")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, fold: bool = False) -> None:
    """A table for people, or the line `empty` where there is no row. Columns of numbers stand right.

    With `fold` long texts are folded into a terminal's width. Otherwise each row is a line, so that ids can be copied.
    """
    listed = [list(row) for row in rows]
    if not listed:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        right = any(isinstance(row[number], int | float) and not isinstance(row[number], bool) for row in listed)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in listed:
        table.add_row(*(cell(value) for value in row))
    _console(fold=fold).print(table)


def show_fields(values: Mapping[str, object]) -> None:
    """Names and values, a line each."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(name), cell(value))
    _console(fold=True).print(table)


def cell(value: object) -> Text:
    """A value as a person reads it, coloured where its word has a colour."""
    text = plain(value)
    return Text(text, style=STYLES.get(text, ""))


def plain(value: object) -> str:
    """One line, without what could steer a terminal: records hold whatever their source sent."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, int):
        return f"{value:,}"
    shown = value.value if isinstance(value, Enum) else value
    return CONTROL.sub("\ufffd", " ".join(str(shown).split()))


def seconds_text(seconds: float | None) -> str:
    """`0.4 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`"""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def _console(*, fold: bool) -> Console:
    console = Console(markup=False, highlight=False, emoji=False)
    if not (fold and console.is_terminal):
        console.width = WIDE
    return console


def note(text: str) -> None:
    """A line for people beside the result, on standard error."""
    click.echo(text, err=True)
