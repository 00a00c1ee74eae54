"""The processes of syncapp as command lines. The Procfile has the same ones, held equal by a test."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import config
from syncapp.embedded.server import Command

CELERY = ("celery", "--app", "workers.app", "--quiet")  # without its banner of many lines
WORKER = (*CELERY, "worker", "--without-gossip", "--without-mingle")

WEB = ("gunicorn", "--config", "python:config.gunicorn", "api.app:create_app()")
# Strict order from left to right; see the second worker for what would starve.
SYNC_WORKER = (*WORKER, "--hostname", "worker@%h", "--queues", "sync,default,mailers")
LIGHT_WORKER = (*WORKER, "--hostname", "light@%h", "--queues", "mailers,default", "--concurrency", "1")
BEAT = (*CELERY, "beat", "--pidfile=")
FLOWER = (*CELERY, "flower", "--conf=config/flower.py")
DEMO = ("syncapp.demo.wellness",)
DEMO_CLINIKO = ("syncapp.demo.cliniko", "--patients", "200", "--appointments", "600")
DEMO_CUPID = ("syncapp.demo.cupid",)


def module(argv: Sequence[str], env: Mapping[str, str], *more: str, pass_fds: Sequence[int] = ()) -> Command:
    """One of the lines above, run by this interpreter, whatever the folder we stand in and the PATH."""
    here = str(Path(config.__path__[0]) / "flower.py")
    placed = [word.replace("config/flower.py", here) for word in argv]
    return Command((sys.executable, "-m", *placed, *more), env=env, pass_fds=pass_fds)
