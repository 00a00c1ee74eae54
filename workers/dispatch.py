"""Runs on their way to a worker. Best effort: what is not sent here, the sweep sends later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TypeVar

import redis
import structlog
from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import KombuError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.celery import client_settings
from config.settings import Settings

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")

RUN_TASK = "syncapp.run"
TICK_TASK = "syncapp.tick"
COOL_DOWN = 2.0  # seconds


class CeleryDispatcher:
    """Publishes runs. With Redis down it answers within about a second, and then at once for a while.

    One per process, made after the fork; may be used by many threads.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = Celery("syncapp-publisher", set_as_current=False)
        self._app.config_from_object(client_settings(settings))
        self._redis = redis.Redis.from_url(
            settings.broker, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next_try: float | None = None  # None while Redis answers

    def dispatch(self, sync_id: str, queue: str) -> bool:
        """Whether the run was handed to Redis. Never raises."""
        return self._ask(lambda: self._publish(sync_id, queue)) is not None

    def prepare(self) -> None:
        """Connects now, so that the first run to be sent need not wait for it. Never raises."""
        self._ask(self._connect)

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int] | None:
        """How many messages the queues hold, None where Redis cannot be asked. Never raises."""
        return self._ask(lambda: {queue: int(self._redis.llen(queue)) for queue in queues})

    def close(self) -> None:
        self._app.close()
        self._redis.close()

    def _connect(self) -> bool:
        with self._app.producer_or_acquire() as producer:
            for queue in self._app.amqp.queues.values():
                producer.maybe_declare(queue)
        return self._app.backend is not None  # loaded with the first message otherwise

    def _publish(self, sync_id: str, queue: str) -> bool:
        self._app.send_task(RUN_TASK, (sync_id,), queue=queue, retry=False, ignore_result=True)
        return True

    def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        if not self._may_try():
            return None
        try:
            answer = question()
        except (KombuError, AMQPError, RedisError, OSError) as error:
            self._failed(error)
            return None
        self._answered()
        return answer

    def _may_try(self) -> bool:
        """After a failure, one caller asks again once the cool-down is over; the others do not wait for it."""
        with self._lock:
            if self._next_try is None:
                return True
            now = self._monotonic()
            if now < self._next_try:
                return False
            self._next_try = now + COOL_DOWN
            return True

    def _failed(self, error: Exception) -> None:
        with self._lock:
            began = self._next_try is None
            self._next_try = self._monotonic() + COOL_DOWN
        if began:
            log.warning("redis.away", reason=str(error), consequence="runs wait in PostgreSQL until it is back")

    def _answered(self) -> None:
        with self._lock:
            ended, self._next_try = self._next_try is not None, None
        if ended:
            log.info("redis.back")
