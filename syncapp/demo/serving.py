"""What the command lines of the demo's upstreams share."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from syncapp.demo.server import DemoServer

log = logging.getLogger("syncapp.demo")


def serve(server: DemoServer, what: str, change: Callable[[], str], every: float) -> None:
    """Serves until a signal asks it to end, and changes something every so many seconds; 0 changes nothing.

    what    what listens, and where: `the demo's API listens on http://...`
    change  does it, and says what it was
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with server:
        log.info(what)
        while not ended.wait(every or None):
            log.info("a change: %s", change())
