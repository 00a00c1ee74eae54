"""Log lines: what stands in each, and what never does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from config.logging import configure_logging
from config.settings import Settings

SETTINGS: dict[str, Any] = {
    "syncapp_admin_token": "the-admin-token-of-the-tests",
    "mock_api_key": "the-upstream-key",
    "postgres_password": "the-database-password",
    "syncapp_secret_key": "the-secret-key",
    "syncapp_secret_key_previous": "the-key-before",
}
Configure = Callable[..., io.StringIO]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    structlog.contextvars.clear_contextvars()  # what another test's request has bound
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    stream = io.StringIO()

    def build(**settings: Any) -> io.StringIO:
        monkeypatch.setattr("sys.stderr", stream)
        configure_logging(Settings(**SETTINGS | settings), "test")
        return stream

    yield build
    root.handlers[:], _ = before[0], root.setLevel(before[1])
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def line(stream: io.StringIO) -> dict[str, Any]:
    [text] = stream.getvalue().splitlines()
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_stands_in_every_line(configure: Configure) -> None:
    stream = configure()
    structlog.contextvars.bind_contextvars(request_id="r", sync_id="s", organization_id="o")
    structlog.get_logger("here").warning("slow", seconds=3)
    assert line(stream) == {
        "event": "slow",
        "level": "warning",
        "logger": "here",
        "process": "test",
        "timestamp": line(stream)["timestamp"],
        "request_id": "r",
        "sync_id": "s",
        "organization_id": "o",
        "seconds": 3,
    }
    assert line(stream)["timestamp"].endswith("Z")


def test_libraries_write_the_same(configure: Configure) -> None:
    stream = configure()
    structlog.contextvars.bind_contextvars(request_id="r")
    logging.getLogger("celery.worker").info("%s is ready", "it")
    assert line(stream)["event"] == "it is ready"
    assert (line(stream)["request_id"], line(stream)["process"]) == ("r", "test")


@pytest.mark.parametrize("secret", SETTINGS.values())
def test_secrets_of_the_settings(configure: Configure, secret: str) -> None:
    stream = configure()
    structlog.get_logger().error(f"with {secret}", nested={"deep": [f"x{secret}y"]}, plain=secret)
    assert secret not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.SECRET-def",
        "Basic U0VDUkVUSECRET==",
        "postgresql://user:SECRET@host/db",
        "redis://:SECRET@host:6379/0",
        "postgresql://user:p@SECRET@host/db",
        "token syncapp_abcdefghijklmnopqrstSECRET was",
    ],
)
def test_what_looks_like_a_secret(configure: Configure, text: str) -> None:
    stream = configure()
    structlog.get_logger().info(text)
    logging.getLogger("library").info("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("library").exception("failed")
    assert "SECRET" not in stream.getvalue()


@pytest.mark.parametrize("name", ["token", "api_key", "Authorization", "db_password", "secret", "cookie", "apikey"])
def test_values_with_the_name_of_a_secret(configure: Configure, name: str) -> None:
    stream = configure()
    structlog.get_logger().info("x", **{name: "SECRET", "more": {name: "SECRET"}})
    assert "SECRET" not in stream.getvalue()
    assert line(stream)[name] == "***"


def test_names_that_only_sound_like_one(configure: Configure) -> None:
    stream = configure()
    structlog.get_logger().info("x", tokens=3, lease_token=None, token_id="tok_1")
    assert (line(stream)["tokens"], line(stream)["token_id"]) == (3, "tok_1")


def test_a_traceback_shows_no_values(configure: Configure) -> None:
    stream = configure()
    try:
        password = "SECRET"  # a local: nobody shows it
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: 6" in line(stream)["exception"]
    assert "password" not in stream.getvalue().replace("raise ValueError(len(password))", "").replace(
        'password = \\"SECRET\\"', ""
    )


def test_the_level(configure: Configure) -> None:
    stream = configure(log_level="ERROR")
    structlog.get_logger().info("no")
    logging.getLogger("library").warning("no")
    structlog.get_logger().error("yes")
    assert line(stream)["event"] == "yes"


def test_lines_for_people(configure: Configure) -> None:
    stream = configure(log_format="console")
    structlog.get_logger().info("hello", api_key="SECRET", count=3)
    assert "hello" in stream.getvalue()
    assert "count=3" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert "SECRET" not in stream.getvalue()


def test_what_is_not_json_is_shown_all_the_same(configure: Configure) -> None:
    stream = configure()
    structlog.get_logger().info("x", path=object, number=2**70)
    assert line(stream)["event"] == "x"
