"""Waiting for something that another process does, in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(
    condition: Callable[[], Found | None], *, deadline: float = 30.0, every: float = 0.02, what: str = ""
) -> Found:
    """Returns the condition's first true value. Fails the test after `deadline` seconds.

    An AssertionError inside the condition counts as "not yet"; the last one is shown when time is up.
    """
    end = time.monotonic() + deadline
    last: object = None
    while True:
        try:
            last = found = condition()
            if found:
                return found
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{name} did not come true within {deadline:g} s; last: {last!r}")
        time.sleep(every)
