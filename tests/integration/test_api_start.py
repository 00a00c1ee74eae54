"""The app as the web server makes it: from the environment, with the dispatcher of the workers."""

from __future__ import annotations

import logging
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
from tests.integration.api import ADMIN

NOBODY = "postgresql://nobody@127.0.0.1:9/nothing"
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    environment.settings.cache_clear()
    monkeypatch.setenv("SYNCAPP_ADMIN_TOKEN", ADMIN)
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
