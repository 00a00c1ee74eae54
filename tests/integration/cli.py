"""The command line as its users see it: what it prints, where, and its exit code."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pytest
import structlog
from click.testing import CliRunner
from psycopg.rows import dict_row

from config.settings import Settings
from syncapp.cli.main import main
from syncapp.db import Database
from syncapp.demo.server import DemoServer
from syncapp.engine import Runtime, execute
from syncapp.registry import find_sync
from tests.integration.engine import client

# What the tests' own environment may hold and no test asked for.
UNSET = ("REDIS_URL", "LOG_LEVEL", "MOCK_FALLBACK", "SYNCAPP_ADMIN_TOKEN", "POSTGRES_HOST", "DEFAULT_ORGANIZATION_ID")
KEY = "key-of-the-tests"


@dataclass(frozen=True)
class Printed:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return orjson.loads(self.out)


@dataclass
class Shell:
    """Calls `syncapp` in this process, over a real database and a real upstream."""

    database: Database
    upstream: DemoServer
    environment: dict[str, str | None]

    def __call__(self, *words: str, code: int = 0, **environment: str | None) -> Printed:
        """Runs `syncapp words`; the variables are those of this call alone. Fails on another exit code than `code`."""
        variables = self.environment | environment
        result = CliRunner().invoke(main, list(words), env=variables)
        printed = Printed(result.exit_code, result.stdout, result.stderr)
        assert printed.code == code, f"syncapp {' '.join(words)}: {printed}"
        assert "Traceback" not in result.output
        return printed

    def json(self, *words: str, code: int = 0, **environment: str | None) -> Any:
        return self(*words, "--json", code=code, **environment).document

    def rows(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with self.database.connection() as connection:
            return connection.cursor(row_factory=dict_row).execute(statement, parameters).fetchall()  # type: ignore

    def execute(self, statement: str, *parameters: Any) -> None:
        with self.database.connection() as connection:
            connection.execute(statement, parameters)  # type: ignore

    def names(self) -> dict[str, str]:
        """The live clients' names, by the source's id."""
        found = self.rows("SELECT external_id, name FROM clients WHERE deleted_at IS NULL")
        return {row["external_id"]: row["name"] for row in found}

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Takes up what is triggered, as a worker would, in a thread."""
        settings = Settings(mock_api_url=self.upstream.url, mock_api_key=KEY)
        runtime = Runtime(settings, self.database, find_sync, "worker-of-the-tests")
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(0.02):
                for row in self.rows("SELECT sync_id FROM sync_runs WHERE status = 'starting'"):
                    execute(row["sync_id"], runtime)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def one_line(text: str) -> str:
    """An error: one line, no more."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("Error: ")
    return lines[0]


@contextmanager
def open_shell(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell over an upstream of 30 clients. The log's configuration, which each command sets, is put back."""
    monkeypatch.setattr(structlog, "configure", partial(structlog.configure, cache_logger_on_first_use=False))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    records = {"clients": [client(number) for number in range(1, 31)], "appointments": []}
    with DemoServer(records, api_key=KEY) as upstream:
        environment: dict[str, str | None] = {
            **dict.fromkeys(UNSET),
            "DATABASE_URL": dsn,
            "MOCK_API_URL": upstream.url,
            "MOCK_API_KEY": KEY,
            "EXTERNAL_API_PAGE_SIZE": "10",
            "EXTERNAL_API_RETRY_ATTEMPTS": "0",
            "BATCH_RECORDS": "10",
        }
        shell = Shell(Database(dsn.replace("postgresql://", "postgresql+psycopg://")), upstream, environment)
        try:
            yield shell
        finally:
            shell.database.dispose()
            root.handlers[:] = handlers
            root.setLevel(level)
            structlog.reset_defaults()
