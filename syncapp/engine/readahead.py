"""Reading and understanding the next batches while one is written."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, Self, TypeVar

AHEAD = 2  # one waits ready, one is being made
POLL_SECONDS = 0.25
END = object()
T = TypeVar("T")


class ReadAhead(Generic[T]):
    """The same items in the same order, made by another thread before they are asked for.

    `check` is called while waiting for a slow one; what it raises ends the read. At the end the other thread is told,
    not waited for: a page that hangs holds nobody up. `stop` is called then, from this thread, to end such a wait.
    """

    def __init__(self, items: Generator[T, None, None], check: Callable[[], None], stop: Callable[[], None]) -> None:
        self._items, self._check, self._stop = items, check, stop
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._turn = threading.Condition()
        self._given = self._allowed = 0
        self._stopped = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._make, name="read-ahead", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self._stop()

    def __iter__(self) -> Iterator[T]:
        while True:
            self.go_on()
            item = self._take()
            if item is END:
                return
            if isinstance(item, BaseException):
                raise item
            self._given += 1
            yield item

    def go_on(self) -> None:
        """Lets the other thread make the next one, at the latest when it is asked for.

        The two share the interpreter. Called where this thread is about to wait for its database, it spares the other
        one from working just when this one has to.
        """
        with self._turn:
            self._allowed = self._given + AHEAD
            self._turn.notify()

    def finish(self) -> None:
        """No more are made than the one that is being made: those that are there come, and then the end."""
        with self._turn:
            self._stopped = True
            self._turn.notify()

    def _take(self) -> Any:
        while True:
            try:
                return self._ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self._check()

    def _make(self) -> None:
        made = 0
        try:
            while self._may_make(made):
                item = next(self._items, END)
                self._ready.put(item)
                if item is END:
                    return
                made += 1
            self._ready.put(END)
        except BaseException as error:
            self._ready.put(error)  # the thread that waits raises it
        finally:
            self._items.close()

    def _may_make(self, made: int) -> bool:
        with self._turn:
            self._turn.wait_for(lambda: self._stopped or made < self._allowed)
            return not self._stopped
