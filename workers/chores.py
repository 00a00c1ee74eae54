"""A thread that does small things again and again, and outlives any outage of what they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from syncapp.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

PAUSE, LONGEST_PAUSE = 1.0, 5.0  # seconds


@dataclass
class Chore:
    """`work` is done every so many seconds."""

    name: str
    every: float
    work: Callable[[], object]
    due_at: float = 0.0


class Chores(threading.Thread):
    """Ends when asked to, and never keeps its process from ending: a daemon that waits for nothing on the way out.

    An outage of PostgreSQL costs one line in the log however long it lasts. Redis is reported by the dispatcher.
    """

    def __init__(self, name: str, chores: Sequence[Chore], farewell: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._chores = chores
        self._farewell = farewell
        self._ended = threading.Event()
        self._away_since: float | None = None
        self._pause = PAUSE

    def end(self) -> None:
        """Returns at once; `join` waits."""
        self._ended.set()

    def run(self) -> None:
        while not self._ended.wait(self._pause):
            self.turn()
        self._do(Chore("farewell", 0, self._farewell))

    def turn(self) -> None:
        """Does what is due."""
        for chore in self._chores:
            now = time.monotonic()
            if chore.due_at > now:
                continue
            chore.due_at = now + chore.every
            if not self._do(chore):
                return

    def _do(self, chore: Chore) -> bool:
        """False where PostgreSQL is away, without which no chore can be done."""
        try:
            chore.work()
        except DatabaseUnavailable as error:
            self._lost(str(error.__cause__ or error))
            return False
        except RedisError as error:
            log.debug("chore.without_redis", chore=chore.name, reason=str(error))
        except Exception:  # a chore is a task that ends here; the others and the next turn go on
            log.exception("chore.failed", chore=chore.name)
        self._found()
        return True

    def _lost(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("postgres.away", reason=reason.strip())
        else:
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
        for chore in self._chores:
            chore.due_at = 0.0

    def _found(self) -> None:
        if self._away_since is not None:
            log.info("postgres.back", seconds=round(time.monotonic() - self._away_since, 1))
            self._away_since, self._pause = None, PAUSE
