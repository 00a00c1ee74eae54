"""The API of a test: a real app on a real database and a real Valkey; only the dispatch is recorded."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from api.app import create_app
from api.context import EXTENSION, Services
from api.errors import ERROR_TYPES
from config.settings import Settings
from syncapp.audit import SYSTEM
from syncapp.commands import create_token
from syncapp.db import Database
from syncapp.embedded.valkey import ValkeyServer
from syncapp.testing import RecordingDispatcher
from tests.keys import SECRET_KEY

ADMIN = "the-admin-token-of-the-tests"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass
class Api:
    app: Flask
    client: FlaskClient
    database: Database
    settings: Settings
    dispatcher: RecordingDispatcher
    token: str | None = ADMIN

    def call(self, method: str, path: str, *, token: str | None = "", **asked: Any) -> TestResponse:
        """A request with the admin's token, or another, or (None) without."""
        bearer = self.token if token == "" else token
        headers = dict(asked.pop("headers", {}))
        if bearer is not None:
            headers.setdefault("Authorization", f"Bearer {bearer}")
        return self.client.open(path, method=method, headers=headers, **asked)

    def get(self, path: str, **asked: Any) -> TestResponse:
        return self.call("GET", path, **asked)

    def post(self, path: str, **asked: Any) -> TestResponse:
        return self.call("POST", path, **asked)

    def patch(self, path: str, **asked: Any) -> TestResponse:
        return self.call("PATCH", path, **asked)

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with self.database.connection() as connection:
            return connection.cursor(row_factory=dict_row).execute(statement, parameters).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        with self.database.connection() as connection:
            connection.execute(statement, parameters)

    def add_organization(self, name: str, *, active: bool = True) -> None:
        self.execute("INSERT INTO organizations (id, name, active) VALUES (%s, %s, %s)", name, name, active)

    def make_token(self, organization_id: str | None, role: str = "member") -> str:
        return create_token(self.database, name="test", role=role, organization_id=organization_id, actor=SYSTEM).token

    def add_run(self, sync_id: str, **values: Any) -> str:
        row = {"sync_id": sync_id, "sync": "clients", "organization_id": "default", "mode": "default"}
        row |= {"trigger": "manual", "status": "completed"} | values
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.execute(f"INSERT INTO sync_runs ({names}) VALUES ({marks})", *row.values())
        return sync_id

    def again(self) -> Api:
        """The same app with a client of its own, for a thread."""
        return replace(self, client=self.app.test_client())

    def runs(self) -> list[dict[str, Any]]:
        return self.query("SELECT * FROM sync_runs ORDER BY sync DESC, created_at")

    def end_runs(self) -> None:
        self.execute("UPDATE sync_runs SET status = 'completed', started_at = now(), completed_at = now()")


@contextmanager
def open_api(database_url: str, redis_url: str, **settings: Any) -> Iterator[Api]:
    wanted = {
        "database_url": database_url,
        "redis_url": redis_url,
        "syncapp_admin_token": ADMIN,
        "syncapp_secret_key": SECRET_KEY,
        "mock_api_url": "http://127.0.0.1:9",
        "trigger_rate_limit": 10_000,
    } | settings
    made = Settings(**wanted)
    database, dispatcher = Database(database_url), RecordingDispatcher()
    app = create_app(made, database, dispatcher)
    parts = app.extensions[EXTENSION]
    assert isinstance(parts, Services)
    try:
        yield Api(app, app.test_client(), database, made, dispatcher)
    finally:
        database.dispose()


def ago(span: timedelta) -> datetime:
    return datetime.now(UTC) - span


def add_ended(api: Api, sync_id: str, span: timedelta, status: str = "completed", **values: Any) -> None:
    at = ago(span)
    api.add_run(sync_id, status=status, created_at=at, started_at=at, completed_at=at + timedelta(seconds=1), **values)


def add_dead_letter(api: Api, sync_id: str, record: str = '{"id": 1}', **values: Any) -> None:
    row = {"sync_id": sync_id, "organization_id": "default", "stream": "clients", "external_id": "1"}
    row |= {"error_type": "invalid_data_format", "message": "no name", "record": record} | values
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    api.execute(f"INSERT INTO dead_letters ({names}) VALUES ({marks})", *row.values())


def open_circuit(api: Api, sync: str, until: str) -> None:
    api.execute(
        "INSERT INTO circuits (sync, organization_id, open_until) VALUES (%s, 'default', now() + %s::interval)",
        sync,
        until,
    )


@contextmanager
def paused(server: ValkeyServer) -> Iterator[None]:
    """The server takes connections and answers nothing."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def check_error(answer: TestResponse, status: int, error_type: str | None = None) -> dict[str, Any]:
    """The details of an error, once its shape is checked."""
    body = answer.get_json()
    assert answer.status_code == status, body
    assert set(body) == {"success", "error", "details", "timestamp"}
    assert body["success"] is False
    assert body["error"]
    assert TIME.fullmatch(body["timestamp"])
    details = body["details"]
    assert isinstance(details, dict)
    assert {"error_type", "message", "error_code"} <= set(details)
    assert details["error_type"] in ERROR_TYPES
    assert error_type in (None, details["error_type"]), details
    assert answer.headers.get("Retry-After") == (str(details["retry_after"]) if "retry_after" in details else None)
    assert answer.headers["X-Request-ID"]
    for secret in ("Traceback", "SELECT", "psycopg", "sync_runs", ADMIN):
        assert secret not in answer.get_data(as_text=True)
    return details
