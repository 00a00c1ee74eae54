"""A run on its way: a progress bar on a terminal, a line where something changes elsewhere."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from syncapp.cli.context import App
from syncapp.cli.output import plain
from syncapp.errors import DatabaseUnavailable
from syncapp.queries import RunProgress, get_progress

EVERY = 0.1  # seconds between two looks at the run's row
COUNT = re.compile(r": [\d,]+ records$")  # which stand beside the bar already
OUTAGE = 60.0  # seconds for which PostgreSQL may be away while a run is followed


class Records(ProgressColumn):
    """`1,200 of 5,000 records`"""

    def render(self, task: Task) -> Text:
        done = f"{int(task.completed):,}"
        return Text(f"{done} of {int(task.total):,} records" if task.total else f"{done} records")


class Display:
    """What is shown of a run while it goes, on standard error. A context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            Records(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._said = ""

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, seen: RunProgress, working: str | None = None) -> None:
        """`working` is this process's name in leases, where it works on the run itself."""
        state = _state(seen, working)
        doing = f"{seen.sync}: {state}" if state else COUNT.sub("", seen.current_operation or f"{seen.sync}: starting")
        generated = " (GENERATED records: the source cannot be reached)" if seen.source == "mock" else ""
        if self._task is None:
            self._task = self._progress.add_task("", total=None)
        self._progress.update(
            self._task,
            description=plain(doing + generated),
            completed=seen.records_processed,
            total=max(seen.records_total, seen.records_processed) if seen.records_total else None,
        )
        self.say(plain(f"{seen.sync}: {state}") if state else "", once=True)

    def say(self, text: str, *, once: bool = False) -> None:
        """A line above the bar; `once` leaves it out where it has just been said."""
        if not (once and text.split(" (", 1)[0] == self._said):
            self._said = text.split(" (", 1)[0]
            if text:
                self._console.print(text, soft_wrap=True)


def _state(seen: RunProgress, working: str | None) -> str:
    """What keeps the run from going on here and now; empty where nothing does."""
    if seen.has_ended:
        return ""
    if seen.resume_at is not None and seen.seconds_to_wait > 0:
        reason = f": {seen.current_operation}" if seen.current_operation else ""
        safe = "; Ctrl-C is safe meanwhile" if working is not None else ""
        return f"waits until {plain(seen.resume_at)}{reason} (in {seen.seconds_to_wait:.0f} s{safe})"
    if working is not None and seen.held_by not in (None, working):
        return f"{seen.held_by} works on it"
    if working is None and seen.held_by is None:
        return "waits for a worker"
    return ""


@dataclass
class Follower:
    """Looks at one run until it has ended. `stop` ends the waiting."""

    app: App
    sync_id: str
    display: Display
    stop: threading.Event = field(default_factory=threading.Event)

    def look(self) -> RunProgress:
        """The run as it is. Waits while PostgreSQL is away, for a while. Raises NotFound, DatabaseUnavailable."""
        end = time.monotonic() + OUTAGE
        while True:
            try:
                return get_progress(self.app.database, self.app.scope, self.sync_id)
            except DatabaseUnavailable as error:
                if time.monotonic() > end or self.stop.wait(EVERY * 5):
                    raise
                self.display.say(error.message, once=True)

    def follow(self) -> RunProgress:
        """Until its end, whoever works on it."""
        while not (seen := self.look()).has_ended:
            self.display.show(seen)
            self.stop.wait(EVERY)
        return seen
