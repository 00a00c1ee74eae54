"""Working on a run in this process, as a worker would."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from types import FrameType

from syncapp.cli.follow import EVERY, Follower
from syncapp.engine import Runtime, execute
from syncapp.errors import DatabaseUnavailable
from syncapp.guards.rate_limit import rate_limit_for
from syncapp.queries import get_progress
from syncapp.registry import find_sync
from syncapp.sweep import reap

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked this process to end; the run was given back."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass
class Here:
    """Takes the run up whenever it is due, until it has ended; somebody else may do so meanwhile, and is waited for."""

    follower: Follower
    signalled: int = 0

    def __post_init__(self) -> None:
        app = self.follower.app
        self._runtime = Runtime(
            settings=app.settings,
            database=app.database,
            find_sync=find_sync,
            owner=f"cli@{socket.gethostname()}/{os.getpid()}",
            rate_limit=rate_limit_for(app.settings),
            stop=self.follower.stop.is_set,
        )

    def work(self) -> None:
        """Returns when the run has ended. Raises Interrupted, DatabaseUnavailable."""
        with self._ending_on_signals():
            while not (seen := self.follower.look()).has_ended:
                if self.follower.stop.is_set():
                    raise Interrupted(self.signalled)
                self.follower.display.show(seen, self._runtime.owner)
                if not seen.is_due or not self._attempt():
                    self.follower.stop.wait(EVERY)

    def _attempt(self) -> bool:
        """Whether the run was taken up. One whose attempts are used up is ended: there may be no worker."""
        future: Future[str] = Future()
        threading.Thread(target=self._execute, args=(future,), name="run", daemon=True).start()
        while not wait([future], timeout=EVERY).done:
            self._show()
        try:
            if future.result() != "skipped":
                return True
            app = self.follower.app
            reap(app.database, app.settings)
        except DatabaseUnavailable:
            pass  # `look` waits for PostgreSQL, and says so
        return False

    def _execute(self, future: Future[str]) -> None:
        try:
            future.set_result(execute(self.follower.sync_id, self._runtime))
        except BaseException as error:
            future.set_exception(error)  # the main thread raises it

    def _show(self) -> None:
        """The thread that works meets an outage too, and knows what to do."""
        app = self.follower.app
        with contextlib.suppress(DatabaseUnavailable):
            seen = get_progress(app.database, app.scope, self.follower.sync_id)
            self.follower.display.show(seen, self._runtime.owner)

    @contextlib.contextmanager
    def _ending_on_signals(self) -> Iterator[None]:
        """The first signal ends the run at its next page, the second one ends the process at once."""
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def on_signal(number: int, _frame: FrameType | None) -> None:
            self.signalled = number
            self.follower.stop.set()
            restore()

        for number in SIGNALS:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            restore()
