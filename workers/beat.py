"""Beat under RedBeat, made to outlive outages of Redis and PostgreSQL."""

from __future__ import annotations

import socket
import threading
from typing import Any

import structlog
from celery.signals import beat_init
from redbeat import RedBeatScheduler
from redbeat.schedulers import LUA_EXTEND_TO_SCRIPT, acquire_distributed_beat_lock, get_redis
from redis.exceptions import LockError, RedisError

from config.settings import settings
from syncapp.db import Database
from syncapp.processes import forget_process, report_process
from workers.chores import Chore, Chores

log = structlog.get_logger(__name__)

SECONDS_TO_SAY_GOODBYE = 2.0

# RedBeat takes its lock once, at the start, and ends with the lock. Here every tick that has no lock tries for it.
beat_init.disconnect(acquire_distributed_beat_lock)


class Heartbeat:
    """Says in PostgreSQL that the scheduler ticks, from a thread of its own: a hung PostgreSQL delays no tick."""

    def __init__(self) -> None:
        self._database = Database(settings().database, pool_size=1, application_name="syncapp-beat")
        self._name = f"beat@{socket.gethostname()}"
        self._ticked = threading.Event()
        self._first = True
        self._chores = Chores("heartbeat", [Chore("report", 2.0, self._report)], farewell=self._leave)
        self._chores.start()

    def ticked(self) -> None:
        self._ticked.set()

    def end(self) -> None:
        self._chores.end()
        self._chores.join(SECONDS_TO_SAY_GOODBYE)

    def _report(self) -> None:
        if self._ticked.is_set():
            report_process(self._database, self._name, "scheduler", (), first=self._first)
            self._ticked.clear()
            self._first = False

    def _leave(self) -> None:
        if not self._first:
            forget_process(self._database, self._name)


class Scheduler(RedBeatScheduler):  # type: ignore[misc]
    """Ticks while it holds the lock; tries for the lock while it does not. Of several beats, one ticks."""

    _heartbeat: Heartbeat | None = None
    _away = False

    def setup_schedule(self) -> None:
        """There are no static entries: RedBeat would reset them at every start, and need Redis for it."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Seconds until the next one."""
        wait = float(self.max_interval)
        try:
            if self._leads():
                wait = super().tick(*args, **kwargs)
                self._say_alive()
            self._answered()
        except LockError:
            self.lock = None
            log.warning("beat.lock_lost")
        except RedisError as error:
            self._failed(error)
        return wait

    def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.end()
        try:
            super().close()
        except RedisError as error:
            log.warning("beat.lock_left_behind", reason=str(error))

    def _leads(self) -> bool:
        if self.lock is None:
            client = get_redis(self.app)
            lock = client.lock(self.lock_key, timeout=self.lock_timeout)
            lock.lua_extend = client.register_script(LUA_EXTEND_TO_SCRIPT)
            if not lock.acquire(blocking=False):
                return False
            self.lock = lock
            log.info("beat.leads")
        return True

    def _say_alive(self) -> None:
        if self._heartbeat is None:
            self._heartbeat = Heartbeat()
        self._heartbeat.ticked()

    def _failed(self, error: RedisError) -> None:
        if not self._away:
            log.warning("redis.away", reason=str(error), consequence="ticks are made up for when it is back")
        self._away = True

    def _answered(self) -> None:
        if self._away:
            log.info("redis.back")
        self._away = False
