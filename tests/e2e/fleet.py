"""Real workers and beats, started as the Procfile starts them, over a real PostgreSQL, Valkey and upstream."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
from psycopg.rows import dict_row

from syncapp.demo.server import DemoServer
from tests.keys import SECRET_KEY
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
CELERY = (sys.executable, "-m", "celery", "-A", "workers.app")
QUIETER = ("--without-gossip", "--without-mingle", "--loglevel", "INFO")


@dataclass
class Member:
    """A process of the fleet, and what it has written."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def children(self) -> list[int]:
        """The pids of a worker's pool."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def says(self, pattern: str, deadline: float = 60) -> re.Match[str]:
        """Waits for a line of the log."""
        found = wait_for(lambda: self._match(pattern), deadline=deadline, what=f"{pattern!r} in {self.log.name}")
        assert isinstance(found, re.Match)
        return found

    def _match(self, pattern: str) -> re.Match[str] | None:
        assert self.alive, self.text[-3_000:]
        return re.search(pattern, self.text)

    def end(self, number: int = signal.SIGTERM, deadline: float = 60) -> int:
        """The process's exit code after the signal."""
        if self.alive:
            self.process.send_signal(number)
        return self.process.wait(deadline)


@dataclass
class Fleet:
    """The processes of one test, what they work on, and ways to look at it."""

    folder: Path
    dsn: str
    redis_url: str
    upstream: DemoServer
    environment: dict[str, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)

    def worker(self, queues: str = "sync,default,mailers", concurrency: int = 1, **environment: str) -> Member:
        member = self._start_worker(queues, concurrency, **environment)
        member.says(r" ready\.")
        return member

    def workers(self, count: int) -> list[Member]:
        """So many with one child each, which takes hardly longer than one."""
        members = [self._start_worker("sync,default,mailers", 1) for _ in range(count)]
        for member in members:
            member.says(r" ready\.")
        return members

    def beat(self, **environment: str) -> Member:
        member = self.start("beat", "--loglevel", "INFO", **environment)
        member.says("beat: Starting")
        return member

    def _start_worker(self, queues: str, concurrency: int, **environment: str) -> Member:
        name = f"w{len(self.members)}@%h"
        command = ("worker", "-Q", queues, "-n", name, "-c", str(concurrency), "-O", "fair", *QUIETER)
        return self.start(*command, **environment)

    def start(self, *command: str, **environment: str) -> Member:
        log = self.folder / f"{len(self.members)}-{command[0]}.log"
        variables = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.dsn,
            "REDIS_URL": self.redis_url,
            "MOCK_API_URL": self.upstream.url,
            "MOCK_API_KEY": "key-of-the-tests",
            "SYNCAPP_SECRET_KEY": SECRET_KEY,
            "PYTHONUNBUFFERED": "1",
            "LOG_FORMAT": "console",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                (*CELERY, *command),
                cwd=ROOT,
                env=variables | self.environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.members.append(Member(process, log))
        return self.members[-1]

    def close(self) -> None:
        for member in self.members:
            if member.alive:
                os.killpg(member.process.pid, signal.SIGKILL)
            member.process.wait(10)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return]

    def execute(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(query, values)  # type: ignore[call-overload]

    def run(self, sync_id: str) -> dict[str, Any]:
        return self.rows("SELECT * FROM sync_runs WHERE sync_id = %s", sync_id)[0]

    def accept(self, sync_id: str, organization_id: str = "default", **values: Any) -> str:
        """A run, committed and not dispatched, as an API leaves it that dies before it publishes."""
        row = {"sync_id": sync_id, "sync": "clients", "mode": "default", "trigger": "manual"} | values
        row["organization_id"] = organization_id
        self.execute(f"INSERT INTO sync_runs ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", *row.values())
        return sync_id

    def ended(self, sync_id: str, deadline: float = 60) -> dict[str, Any]:
        """The run once it has ended."""

        def look() -> dict[str, Any] | None:
            run = self.run(sync_id)
            return run if run["status"] in ("completed", "failed", "cancelled") else None

        return wait_for(look, deadline=deadline, what=f"the end of {sync_id}")

    def queue(self, name: str) -> int:
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.llen(name))  # type: ignore[arg-type]

    def flush(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def missing_clients(self, organization_id: str = "default") -> tuple[set[str], set[str]]:
        """The clients that only the source has, and those that only the table has."""
        source = {str(record["id"]) for record in self.upstream.records["clients"]}
        query = "SELECT external_id FROM clients WHERE organization_id = %s AND deleted_at IS NULL"
        table = {row["external_id"] for row in self.rows(query, organization_id)}
        return source - table, table - source
