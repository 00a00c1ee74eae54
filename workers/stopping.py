"""How a worker's children learn that it has been asked to end, while their runs are in full swing.

Celery tells only the parent process, so the parent sets one byte of memory that it shares with the children it forks.
"""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]
SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


class StopFlag:
    """Set once, by the process that made it; seen by that process and by all it forks."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._byte = mmap.mmap(-1, 1)
        self._asked_here = False

    def set(self) -> None:
        """Does nothing in a child, which inherits the parent's signal handlers. Safe in a signal handler."""
        if os.getpid() == self._owner:
            self._byte[0] = 1

    def is_set(self) -> bool:
        return self._byte[0] == 1 or self._asked_here

    def begin_task(self) -> None:
        """In a child: the first SIGTERM while this task runs ends the task at its page, the second ends the child.

        Some platforms send SIGTERM to all processes at once. It would kill a child in the middle of its page, while the
        parent would have let it come to the page's end.
        """
        if os.getpid() != self._owner:
            self._asked_here = False
            signal.signal(signal.SIGTERM, self._end_at_the_page)

    def _end_at_the_page(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._asked_here = True
        signal.signal(number, signal.SIG_DFL)

    def set_on_signals(self) -> None:
        """Sets the flag before anything else is done about a signal.

        Where REMAP_SIGTERM=SIGQUIT is set, as on Heroku, Celery's own handler sleeps through the soft shutdown
        before it tells anybody; that is the very time in which the runs should end.
        """
        for number in SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous):
                signal.signal(number, self._then(previous))

    def _then(self, previous: Handler) -> Handler:
        def handle(number: int, frame: FrameType | None) -> None:
            self.set()
            previous(number, frame)

        return handle


STOP = StopFlag()
