"""Streams of events from the web server as it is deployed: what they hold, what they survive, how they end."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import urllib3

from config.settings import WEB_THREADS
from syncapp.cli import programs
from syncapp.embedded.guard import Guard
from syncapp.embedded.home import free_port
from syncapp.embedded.postgres import PostgresServer
from syncapp.engine.events import add_event
from tests.e2e.fleet import Fleet
from tests.faults.processes import Running
from tests.integration.api import ADMIN
from tests.keys import SECRET_KEY
from tests.sse import Event, Stream
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

CROWD = 100
ORIGIN = "https://pages.example"
VARIABLES = {
    "PATH": os.environ["PATH"],
    "WEB_CONCURRENCY": "1",
    "SYNCAPP_ADMIN_TOKEN": ADMIN,
    "SYNCAPP_SECRET_KEY": SECRET_KEY,
    "MOCK_API_URL": "http://127.0.0.1:9",
    "CORS_ORIGINS": ORIGIN,
    "LOG_FORMAT": "console",
    "GUNICORN_CMD_ARGS": f"--worker-connections {CROWD // 2}",  # a stream is not one of them
}


@dataclass
class Web:
    """One gunicorn, its port, and the database behind it."""

    folder: Path
    guard: Guard
    dsn: str
    redis_url: str
    port: int = field(default_factory=free_port)
    started: list[Running] = field(default_factory=list)
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    def start(self) -> Running:
        variables = VARIABLES | {"DATABASE_URL": self.dsn, "REDIS_URL": self.redis_url, "PORT": str(self.port)}
        name = f"web-{len(self.started)}"
        command = programs.module(programs.WEB, variables)
        self.started.append(Running.start(name, command, self.folder / name, self.guard))
        wait_for(self.is_up, deadline=60, what="a web server that answers")
        return self.started[-1]

    def is_up(self) -> bool:
        try:
            return self.get("/healthz") == 200
        except urllib3.exceptions.HTTPError:
            return False

    def get(self, path: str) -> int:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return self.http.request("GET", f"http://127.0.0.1:{self.port}{path}", headers=headers).status

    def follow(self, sync_id: str = "run", seen: int | None = None, **more: Any) -> Stream:
        last = {} if seen is None else {"Last_Event_ID": str(seen)}
        return Stream(self.port, f"/api/v1/runs/{sync_id}/events", Authorization=f"Bearer {ADMIN}", **last, **more)

    def add_run(self, sync_id: str = "run") -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(
                "INSERT INTO sync_runs (sync_id, sync, organization_id, mode, trigger, status) "
                "VALUES (%s, 'clients', 'default', 'default', 'manual', 'running')",
                (sync_id,),
            )

    def add(self, *kinds: str, sync_id: str = "run") -> None:
        for kind in kinds:
            with psycopg.connect(self.dsn) as connection:
                add_event(connection, sync_id, kind, {})

    def end(self, sync_id: str = "run") -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute("UPDATE sync_runs SET status = 'completed' WHERE sync_id = %s", (sync_id,))
            add_event(connection, sync_id, "completed", {})

    def connections(self) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
        with psycopg.connect(self.dsn) as connection:
            ((count,),) = connection.execute(query, ("syncapp-api",)).fetchall()
        return int(count)


@pytest.fixture
def web(tmp_path: Path, guard: Guard, database_dsn: str, redis_url: str) -> Iterator[Web]:
    made = Web(tmp_path, guard, database_dsn, redis_url)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))  # as most hosts have it
    try:
        made.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield made
    made.http.clear()
    for one in made.started:
        one.close()


def numbers(events: list[Event]) -> list[int]:
    return [event.id for event in events]


def test_a_crowd_holds_neither_threads_nor_connections(web: Web) -> None:
    web.add_run()
    web.add("started")
    with ExitStack() as opened:
        streams = [opened.enter_context(web.follow()) for _ in range(CROWD)]
        assert {stream.status for stream in streams} == {200}
        assert all(numbers(stream.take(1)) == [1] for stream in streams)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(web.get, ["/api/v1/runs", "/api/v1/runs/run"] * 30))
        assert set(answers) == {200}
        assert web.connections() <= 2 * WEB_THREADS
        (child,) = web.started[0].children
        process = psutil.Process(child)
        assert process.num_threads() < 3 * WEB_THREADS
        assert process.rlimit(psutil.RLIMIT_NOFILE)[0] >= 4_096
        web.add(*["progress"] * 30)
        web.end()
        for stream in streams:
            assert numbers(list(stream.events)) == list(range(2, 33))


def test_the_head_is_that_of_any_answer(web: Web) -> None:
    web.add_run()
    with web.follow(X_Request_ID="mine", Origin=ORIGIN) as stream:
        assert stream.status == 200
        wanted = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "Connection": "close",
            "X-Accel-Buffering": "no",
            "X-Request-ID": "mine",
            "X-Content-Type-Options": "nosniff",
            "Access-Control-Allow-Origin": ORIGIN,
            "Vary": "Origin",
        }
        assert stream.headers | wanted == stream.headers
        assert "Content-Length" not in stream.headers
    with web.follow("unknown") as refused:
        assert (refused.status, refused.headers["Content-Type"]) == (404, "application/json")


def test_a_client_goes_on_where_it_was_after_kill_9(web: Web) -> None:
    web.add_run()
    web.add("started", "progress", "progress")
    with web.follow() as stream:
        seen = numbers(stream.take(3))
        web.started[-1].kill()
        assert list(stream.events) == []
    web.add("progress", "progress")
    web.start()
    with web.follow(seen=seen[-1]) as stream:
        seen += numbers(stream.take(2))
        web.add("progress")
        web.end()
        seen += numbers(list(stream.events))
    assert seen == list(range(1, 8))
    with web.follow(seen=seen[-1]) as stream:
        assert stream.status == 204


def test_a_deploy_does_not_wait_for_streams(web: Web) -> None:
    web.add_run()
    web.add("started")
    with web.follow() as stream:
        assert numbers(stream.take(1)) == [1]
        assert web.started[0].end() == 0
        assert list(stream.events) == []


def test_slow_and_vanished_readers_disturb_nobody(web: Web) -> None:
    many = 20_000
    web.add_run("long")
    with psycopg.connect(web.dsn) as connection:
        connection.execute(
            "INSERT INTO run_events (sync_id, seq, kind, data) "
            "SELECT 'long', n, 'progress', jsonb_build_object('note', repeat('x', 200)) FROM generate_series(1, %s) n",
            (many,),
        )
        connection.execute("UPDATE sync_runs SET event_seq = %s WHERE sync_id = 'long'", (many,))
    web.end("long")
    web.add_run()
    with web.follow("long", buffer=4_096) as slow, web.follow() as other:
        for _ in range(20):
            gone = web.follow("long", buffer=4_096)
            assert gone.status == 200
            gone.vanish()
        web.add(*["progress"] * 10)
        assert numbers(other.take(10)) == list(range(1, 11))
        assert web.get("/api/v1/runs") == 200
        web.end()
        assert numbers(list(other.events)) == [11]
        assert numbers(list(slow.events)) == list(range(1, many + 2))


def test_streams_outlast_an_outage_of_postgresql(web: Web, postgres: PostgresServer) -> None:
    web.add_run()
    web.add("started")
    with web.follow() as stream:
        assert numbers(stream.take(1)) == [1]
        postgres.stop()
        web.started[0].says("events.unreadable")
        postgres.start()
        web.add("progress")
        web.end()
        assert numbers(list(stream.events)) == [2, 3]


def test_a_real_run_from_its_start_to_its_end(web: Web, fleet: Fleet) -> None:
    fleet.accept("run")
    with web.follow() as stream:
        fleet.worker()
        events = list(stream.events)
    run = fleet.run("run")
    assert run["status"] == "completed"
    assert numbers(events) == list(range(1, run["event_seq"] + 1))
    assert [event.kind for event in events] == ["started", *["progress"] * (len(events) - 2), "completed"]
    assert len(events) > 20
    shown = {"sync_id": "run", "status": "completed", "records_processed": 400}
    assert events[-1].data | shown == events[-1].data
    assert [event.data["event"]["seq"] for event in events] == numbers(events)
    read = [event.data["event"]["data"].get("records_processed", 0) for event in events[1:-1]]
    assert read == sorted(read)
