"""gunicorn's settings for the API: `gunicorn --config python:config.gunicorn "api.app:create_app()"`.

The port comes from PORT, the number of processes from WEB_CONCURRENCY, which Heroku sets by the size of the machine.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from config.settings import WEB_THREADS, service_settings

_settings = service_settings()
bind = f"0.0.0.0:{_settings.port}"  # a container is reached from outside
workers = _settings.web_concurrency
worker_class = "api.web_worker.WebWorker"  # gthread; its errors are JSON
threads = WEB_THREADS
# Each process imports for itself: connections and threads must be made after the fork.
preload_app = False
timeout = 60
graceful_timeout = 5
keepalive = 75  # longer than the routers before us keep their connections, so that they never reuse a closed one
# The heartbeat file must not wait for a slow disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (gunicorn makes a private file there)
control_socket_disable = True  # it would lie in the user's home


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Makes room for as many files as there may be streams of events and connections, of each 1,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))


def post_worker_init(worker: Any) -> None:
    """Connects after the fork: a trigger answers within milliseconds from the first one on."""
    worker.wsgi.extensions["syncapp"].warm_up()
