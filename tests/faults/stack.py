"""The whole product as real processes over servers of its own, and the ways to break each of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import redis
import urllib3
from psycopg.rows import dict_row

from syncapp.cli import programs
from syncapp.embedded.guard import Guard
from syncapp.embedded.home import free_port
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer
from tests.faults.processes import Running
from tests.faults.upstream import PAGE, Upstream
from tests.keys import SECRET_KEY
from tests.waiting import wait_for

TOKEN = "the-admin-token-of-the-fault-tests"
FINAL = ("completed", "failed", "cancelled")
SETTINGS = {
    "LEASE_SECONDS": "3",
    "WORKER_RETRY_INTERVAL": "1",
    "WORKER_CONCURRENCY": "1",
    "EXTERNAL_API_PAGE_SIZE": str(PAGE),
    "EXTERNAL_API_CONCURRENCY": "2",
    "EXTERNAL_API_RETRY_ATTEMPTS": "1",
    "EXTERNAL_API_TIMEOUT": "2",
    "BATCH_RECORDS": str(2 * PAGE),
    "TRIGGER_RATE_LIMIT": "100000",
    "WEB_CONCURRENCY": "1",
}


@dataclass
class Stack:
    """`upstream` is the test's own; PostgreSQL, Valkey and the API are shared by the tests, and emptied for each."""

    folder: Path
    guard: Guard
    postgres: PostgresServer
    valkey: ValkeyServer
    upstream: Upstream
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[Running] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    _started: int = 0
    _spoiled: bool = False
    _http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30, maxsize=32)
    )

    # processes

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a process; nothing of ours but the PATH goes into it."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "LOG_FORMAT": "console",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "SYNCAPP_ADMIN_TOKEN": TOKEN,
            "SYNCAPP_SECRET_KEY": SECRET_KEY,
            "MOCK_API_URL": self.upstream.url,
            "MOCK_API_KEY": "key-of-the-fault-tests",
            **SETTINGS,
            **self.environment,
            **more,
        }

    def start(self, kind: str, argv: tuple[str, ...], *more: str, **variables: str) -> Running:
        self._started += 1
        name = f"{kind}-{self._started}"
        command = programs.module(argv, self.variables(**variables), *more)
        self.processes.append(Running.start(name, command, self.folder / f"{name}.log", self.guard))
        return self.processes[-1]

    def start_api(self, **variables: str) -> Running:
        return self.start("api", programs.WEB, "--bind", f"127.0.0.1:{self.port}", **variables)

    def start_worker(self, *, ready: bool = True, **variables: str) -> Running:
        """A worker for all queues, with one child unless WORKER_CONCURRENCY says otherwise."""
        worker = self.start("worker", programs.SYNC_WORKER, "--hostname", f"w{self._started}@%h", **variables)
        if ready:
            worker.says(r" ready\.")
        return worker

    def start_workers(self, count: int, **variables: str) -> list[Running]:
        """Some of them side by side, which takes no longer than one."""
        workers = [self.start_worker(ready=False, **variables) for _ in range(count)]
        for worker in workers:
            worker.says(r" ready\.")
        return workers

    def holder(self, sync_id: str) -> Running:
        """The worker that has the run in its hands: a lease names the child's pid."""
        pid = int(self.run(sync_id)["lease_owner"].rpartition("/")[2])
        return next(one for one in self.processes if one.alive and pid in one.children)

    def start_beat(self) -> Running:
        """A beat that ticks, once nobody else holds the lock."""
        beat = self.start("beat", programs.BEAT)
        beat.says("beat: Starting")
        return beat

    @property
    def api(self) -> Running | None:
        """The API that lives, None where it was killed."""
        found = [one for one in self.processes if one.name.startswith("api") and one.alive]
        return found[-1] if found else None

    def is_up(self) -> bool:
        try:
            return self._http.request("GET", f"http://127.0.0.1:{self.port}/healthz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def have_api(self) -> Running:
        """The API, answering; started where it is not there."""
        api = self.api or self.start_api()
        wait_for(self.is_up, deadline=60, what="an API that answers")
        return api

    # the API as its user sees it

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        answer = self._http.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers},
            body=None if body is None else orjson.dumps(body),
        )
        return answer.status, orjson.loads(answer.data)

    def trigger(self, sync: str = "clients", organization: str = "default", **asked: Any) -> str:
        """Starts a run; its id."""
        status, answer = self.ask("POST", "/api/v1/runs", {"sync": sync, "organization_id": organization, **asked})
        assert (status, answer.get("sync_started")) == (202, True), answer
        return str(answer["sync_id"])

    # PostgreSQL and Valkey as the test sees them

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.postgres.url, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return]

    def execute(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.postgres.url) as connection:
            connection.execute(query, values)  # type: ignore[call-overload]

    def run(self, sync_id: str) -> dict[str, Any]:
        return self.rows("SELECT * FROM sync_runs WHERE sync_id = %s", sync_id)[0]

    def ended(self, sync_id: str, deadline: float = 60) -> dict[str, Any]:
        """The run once it has ended. PostgreSQL may be away meanwhile."""

        def look() -> dict[str, Any] | None:
            try:
                run = self.run(sync_id)
            except psycopg.OperationalError:
                return None
            return run if run["status"] in FINAL else None

        return wait_for(look, deadline=deadline, every=0.05, what=f"the end of {sync_id}")

    def in_the_middle(self, sync_id: str, records: int = 4 * PAGE) -> dict[str, Any]:
        """The run once it has written some of its records, and is far from having written all."""

        def look() -> dict[str, Any] | None:
            run = self.run(sync_id)
            if run["status"] in FINAL:
                pytest.fail(f"{sync_id} ended before anything could be broken")
            return run if run["records_processed"] >= records else None

        return wait_for(look, deadline=60, what=f"{sync_id} in its middle")

    def organizations(self, *names: str) -> None:
        for name in names:
            self.execute("INSERT INTO organizations (id, name) VALUES (%s, %s)", name, name)

    @contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(self.valkey.url, socket_timeout=10) as client:
            yield client

    def flush(self) -> None:
        with self.redis() as client:
            client.flushall()

    def waiting(self, queue: str = "sync") -> int:
        with self.redis() as client:
            return int(client.llen(queue))  # type: ignore[arg-type]

    # what is broken

    def pause_valkey(self) -> None:
        """It accepts connections and never answers: worse than being away."""
        self._spoiled = True
        os.kill(self.valkey.pid, signal.SIGSTOP)

    def resume_valkey(self) -> None:
        os.kill(self.valkey.pid, signal.SIGCONT)

    def fill_valkey(self) -> None:
        """It answers, and takes nothing more: its memory is full."""
        self._spoiled = True
        with self.redis() as client:
            client.config_set("maxmemory", "1")

    def make_room_in_valkey(self) -> None:
        with self.redis() as client:
            client.config_set("maxmemory", "0")

    def kill_valkey(self) -> None:
        self._spoiled = True
        self.valkey.kill()

    def end_everything(self) -> None:
        """kill -9 of all our processes, the API too."""
        for one in self.processes:
            one.close()

    # between two tests

    def begin(self) -> None:
        """The state of a fresh installation: migrated, no rows, an empty Valkey, an API that answers."""
        self._repair()
        self.processes = [one for one in self.processes if one.alive]
        self.environment = {}
        self._empty()
        self.have_api()

    def end(self) -> None:
        """Kills what the test started. An API that met an outage of Valkey is careful for a while: it goes too."""
        for one in self.processes:
            if self._spoiled or not one.alive or not one.name.startswith("api"):
                one.close()
        self._spoiled = False

    def close(self) -> None:
        self._spoiled = True
        self.end()
        self._http.clear()

    def _repair(self) -> None:
        for server in (self.postgres, self.valkey):
            if server.is_running():
                os.kill(server.pid, signal.SIGCONT)
            else:
                server.start(60)
        self.make_room_in_valkey()

    def _empty(self) -> None:
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        kept = {"alembic_version", "organizations"}
        names = [row["tablename"] for row in self.rows(tables) if row["tablename"] not in kept]
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE starts_with(application_name, 'syncapp-') AND application_name <> 'syncapp-api'"
        )
        self.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")
        self.execute("DELETE FROM organizations WHERE id <> 'default'")
        self.flush()
