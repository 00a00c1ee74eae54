"""What the trigger is compared with: a Flask route that does one INSERT and one apply_async, and nothing else.

`create_app` is its WSGI app, run by gunicorn with the product's own settings; `celery` its worker's.
"""

from __future__ import annotations

import os
import threading
import uuid
from typing import Any

import psycopg
from celery import Celery
from flask import Flask, request

TABLE = """
CREATE TABLE minimal_runs (
    id uuid PRIMARY KEY, sync text NOT NULL, organization_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz
)"""
INSERT = "INSERT INTO minimal_runs (id, sync, organization_id) VALUES (%s, %s, %s)"
START = "UPDATE minimal_runs SET started_at = clock_timestamp() WHERE id = %s"
QUEUE = "minimal"

celery = Celery("minimal", broker=os.environ.get("REDIS_URL"))
celery.conf.update(task_default_queue=QUEUE, task_ignore_result=True, worker_prefetch_multiplier=1)
mine = threading.local()


def connection() -> psycopg.Connection[Any]:
    """One a thread, opened at its first request."""
    if not hasattr(mine, "connection"):
        dsn = os.environ["DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
        mine.connection = psycopg.connect(dsn, autocommit=True)
    opened: psycopg.Connection[Any] = mine.connection
    return opened


@celery.task(name="minimal.run")  # type: ignore[untyped-decorator]
def run(run_id: str) -> None:
    connection().execute(START, (run_id,))


class Nothing:
    """gunicorn's settings are the product's: they warm up what is not here."""

    def warm_up(self) -> None:
        return None


def create_app() -> Flask:
    app = Flask("minimal", static_folder=None)
    app.extensions["syncapp"] = Nothing()

    @app.post("/runs")
    def start() -> tuple[dict[str, str], int]:
        asked = request.get_json()
        run_id = str(uuid.uuid4())
        connection().execute(INSERT, (run_id, asked["sync"], asked["organization_id"]))
        run.apply_async((run_id,))
        return {"id": run_id}, 202

    return app
