"""The app as the web server makes it: from the environment, with the dispatcher of the workers."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import structlog
from flask import Flask

from api.app import create_app
from api.context import EXTENSION
from config import settings as environment
from config.settings import SettingsError
from syncapp.cli import programs
from syncapp.embedded.guard import Guard
from syncapp.embedded.home import free_port
from tests.faults.processes import Running
from tests.integration.api import ADMIN
from tests.keys import SECRET_KEY

NOBODY = "postgresql://nobody@127.0.0.1:9/nothing"
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    environment.settings.cache_clear()
    monkeypatch.setenv("SYNCAPP_ADMIN_TOKEN", ADMIN)
    monkeypatch.setenv("SYNCAPP_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("MOCK_API_URL", "http://127.0.0.1:9")
    yield monkeypatch
    environment.settings.cache_clear()
    root.handlers[:], _ = before[0], root.setLevel(before[1])
    structlog.reset_defaults()


def close(app: Flask) -> None:
    parts: Any = app.extensions[EXTENSION]
    parts.database.dispose()
    parts.dispatcher.close()


def test_a_trigger_reaches_the_queue(variables: pytest.MonkeyPatch, database_dsn: str, redis_url: str) -> None:
    variables.setenv("DATABASE_URL", database_dsn)
    variables.setenv("REDIS_URL", redis_url)
    app = create_app()
    app.extensions[EXTENSION].warm_up()
    answer = app.test_client().post("/api/v1/sync/clients", headers=HEADERS)
    assert answer.status_code == 202
    with redis.Redis.from_url(redis_url) as client:
        [message] = client.lrange("sync", 0, -1)
    assert answer.get_json()["sync_id"].encode() in message
    assert ADMIN.encode() not in message
    close(app)


def test_with_redis_down_a_run_is_taken_all_the_same(variables: pytest.MonkeyPatch, database_dsn: str) -> None:
    variables.setenv("DATABASE_URL", database_dsn)
    variables.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    app = create_app()
    app.extensions[EXTENSION].warm_up()
    answer = app.test_client().post("/api/v1/sync/clients", headers=HEADERS)
    assert (answer.status_code, answer.get_json()["sync_started"]) == (202, True)
    close(app)


def test_with_everything_down_it_starts(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("DATABASE_URL", NOBODY)
    variables.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    app = create_app()
    app.extensions[EXTENSION].warm_up()
    assert app.test_client().get("/healthz").status_code == 200
    assert app.test_client().get("/readyz").status_code == 503
    close(app)


def test_an_environment_that_is_wrong(variables: pytest.MonkeyPatch) -> None:
    variables.delenv("DATABASE_URL", raising=False)
    variables.delenv("REDIS_URL", raising=False)
    with pytest.raises(SettingsError, match=r"(?s)DATABASE_URL.*REDIS_URL"):
        create_app()


def test_nothing_is_opened_before_it_is_asked_for(variables: pytest.MonkeyPatch) -> None:
    """What is made before the fork would be shared by all processes."""
    variables.setenv("DATABASE_URL", NOBODY)
    variables.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    parts = create_app().extensions[EXTENSION]
    assert parts._database is None
    assert parts._dispatcher is None


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, guard: Guard) -> Iterator[int]:
    """Of the real web server, with everything it needs down."""
    port = free_port()
    variables = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "1", "SYNCAPP_ADMIN_TOKEN": ADMIN}
    variables |= {
        "SYNCAPP_SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": NOBODY,
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "PATH": os.environ["PATH"],
    }
    log = tmp_path_factory.mktemp("web") / "log"
    running = Running.start("web", programs.module(programs.WEB, variables), log, guard)
    running.says("Listening at")
    yield port
    running.close()


POST = f"POST /api/v1/runs HTTP/1.1\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        ("GET /" + "x" * 9000 + " HTTP/1.1\r\n\r\n", 414, "URI_TOO_LONG"),
        ("GET / HTTP/1.1\r\nX: " + "x" * 9000 + "\r\n\r\n", 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        ("GET / HTTP/1.1\r\n" + "X: y\r\n" * 200 + "\r\n", 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n", 400, "BAD_REQUEST"),
        ("G@T <script> HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/9.9\r\n\r\n", 400, "BAD_REQUEST"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: none\r\n\r\n", 501, "BAD_REQUEST"),
        (POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400, "BAD_REQUEST"),
    ],
)
def test_what_the_web_server_refuses(port: int, request_text: str, status: int, code: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request_text.encode())
        connection.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert {"Content-Type: application/json", f"Content-Length: {len(body)}"} <= set(lines)
    assert any(line.startswith("X-Request-ID: ") for line in lines)
    answer = json.loads(body)
    assert set(answer) == {"success", "error", "details", "timestamp"}
    assert (answer["details"]["error_type"], answer["details"]["error_code"]) == ("validation_error", code)
    assert b"<" not in body
