"""Celery's settings, all of them, with the reason where one is not obvious.

PostgreSQL is the truth and Redis only carries, so nothing here has to be durable: what Redis loses, the sweep sends
again (`syncapp.sweep`), and what it delivers twice, the lease turns into a no-op.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from kombu.entity import Queue
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from config.settings import Settings

QUEUES = ("sync", "default", "mailers")
KEY_PREFIX = "syncapp:beat:"

# A message that was taken and never acknowledged is delivered again after this many seconds. It may be shorter than a
# run: the second delivery finds a live lease and does nothing.
VISIBILITY_TIMEOUT = 900

# How long a beat that was killed keeps its successor waiting, and how often beat looks at its schedule, in seconds.
BEAT_LOCK_TIMEOUT = 10
BEAT_LOOP_INTERVAL = 2


def celery_settings(settings: Settings) -> dict[str, Any]:
    """What `app.config_from_object` takes. Raises SettingsError where REDIS_URL is missing."""
    return {
        **_broker(settings.broker),
        **_tasks(),
        **_worker(settings),
        **_beat(settings.broker),
        "enable_utc": True,
        "timezone": "UTC",
    }


def client_settings(settings: Settings) -> dict[str, Any]:
    """For processes that only publish: they give up within about a second, for a user is waiting for the answer."""
    options = _broker(settings.broker)["broker_transport_options"]
    quick = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "max_retries": 0}
    return celery_settings(settings) | {"broker_transport_options": options | quick, "broker_connection_timeout": 1.0}


def _broker(url: str) -> dict[str, Any]:
    return {
        "broker_url": url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # an outage has no length after which a worker should die
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "queue_order_strategy": "priority",  # strict, in the order of -Q
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,  # the default looks for lost messages every 100 s only
            "socket_timeout": 10.0,
            "socket_connect_timeout": 5.0,
            "socket_keepalive": True,
            "health_check_interval": 15,
        },
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "result_backend": url,
        "result_backend_transport_options": {"visibility_timeout": VISIBILITY_TIMEOUT},
        "redis_socket_timeout": 10.0,
        "redis_socket_connect_timeout": 5.0,
        "redis_socket_keepalive": True,
        "redis_backend_health_check_interval": 15,
    }


def _tasks() -> dict[str, Any]:
    return {
        "task_queues": [Queue(name, routing_key=name) for name in QUEUES],  # type: ignore[no-untyped-call]
        "task_create_missing_queues": False,
        "task_default_queue": "default",
        "task_default_routing_key": "default",
        "task_routes": {"syncapp.run": {"queue": "sync"}, "syncapp.tick": {"queue": "default"}},
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # Results are in PostgreSQL. What Redis knows of a task is for Flower, and short-lived.
        "task_ignore_result": True,
        "result_expires": 3600,
        # The sweep retries, and does it from PostgreSQL; a publisher that waits only keeps a user waiting.
        "task_publish_retry": False,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
    }


def _worker(settings: Settings) -> dict[str, Any]:
    return {
        "worker_concurrency": settings.worker_concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_pool_start_method": "fork",  # the stop flag is shared memory made before the fork
        # A run needs no broker: it goes on through an outage of Redis, and its lease says whose it is.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # With REMAP_SIGTERM=SIGQUIT (Heroku) this is the time in which runs end at their page before they are cut off.
        "worker_soft_shutdown_timeout": 5.0,
        "worker_send_task_events": True,  # for Flower
        "worker_hijack_root_logger": False,
    }


def _beat(url: str) -> dict[str, Any]:
    address, login = _apart(url)
    return {
        # Empty on purpose: RedBeat resets a static entry to the code's value at every start. PostgreSQL owns the
        # schedules, `workers.schedule` mirrors them.
        "beat_schedule": {},
        "beat_scheduler": "workers.beat:Scheduler",
        "beat_max_loop_interval": BEAT_LOOP_INTERVAL,
        "redbeat_redis_url": address,
        "redbeat_key_prefix": KEY_PREFIX,
        "redbeat_lock_timeout": BEAT_LOCK_TIMEOUT,
        "redbeat_redis_options": {
            **login,
            "retry": Retry(ExponentialBackoff(cap=1, base=0.1), 3),
            "socket_timeout": 5.0,
            "socket_connect_timeout": 2.0,
            "socket_keepalive": True,
            "health_check_interval": 15,
        },
    }


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """The address without its login, and the login: Flower shows settings, with a `password` masked but not a URL."""
    parts = urlsplit(url)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    login = {"username": parts.username, "password": parts.password}
    return address, {name: unquote(value) for name, value in login.items() if value}
