"""The way of a trigger: how many a second the route holds, and how long it takes from the POST to the task's start.

Beside it a minimal route on the same PostgreSQL, Valkey and gunicorn settings, in turns.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import urllib3

from benchmarks.contenders import ROOT
from benchmarks.engine import sqlalchemy_url
from benchmarks.loader import Loaded, LoadFailed, load, post
from benchmarks.minimal import QUEUE, TABLE
from syncapp.embedded.guard import Guard, Watched, kill_group
from syncapp.embedded.home import free_port
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer

CONNECTIONS = 16
GOAL = 0.6  # of the minimal route's requests a second
START_SECONDS = 60.0
POLL = 0.002
ORGANIZATIONS = """
INSERT INTO organizations (id, name) SELECT 'bench-' || n, 'Bench ' || n FROM generate_series(0, %s::int - 1) n"""
STARTED = "SELECT extract(epoch FROM started_at)::float8 FROM {} WHERE organization_id = %s AND started_at IS NOT NULL"
STATUS = "SELECT status, coalesce(error_message, '') FROM sync_runs WHERE organization_id = %s"


@dataclass(frozen=True)
class Route:
    """A route to be loaded: where, through which app, where its runs are, and which worker starts them."""

    name: str
    path: str
    app: str
    table: str
    worker: tuple[str, ...]


PRODUCT = Route(
    "trigger",
    "/api/v1/runs",
    "api.app:create_app()",
    "sync_runs",
    ("workers.app", "worker", "--without-gossip", "--without-mingle", "--queues", "sync,default,mailers"),
)
MINIMAL = Route(
    "minimal route",
    "/runs",
    "benchmarks.minimal:create_app()",
    "minimal_runs",
    ("benchmarks.minimal:celery", "worker", "--without-gossip", "--without-mingle", "--queues", QUEUE),
)
ROUTES = (MINIMAL, PRODUCT)


@dataclass
class Measured:
    """By route: one `Loaded` a turn, and the milliseconds from the POST to the start of the task."""

    loads: dict[str, list[Loaded]] = field(default_factory=lambda: {route.name: [] for route in ROUTES})
    starts: dict[str, list[float]] = field(default_factory=lambda: {route.name: [] for route in ROUTES})

    def to_json(self) -> dict[str, Any]:
        return {
            route.name: {
                "requests_per_second": [loaded.rate for loaded in self.loads[route.name]],
                "p50_ms": [loaded.percentile(0.50) for loaded in self.loads[route.name]],
                "p99_ms": [loaded.percentile(0.99) for loaded in self.loads[route.name]],
                "start_ms": self.starts[route.name],
            }
            for route in ROUTES
        }


@dataclass
class Stage:
    """PostgreSQL, Valkey and an upstream of one record; what runs on them is started and ended as needed."""

    postgres: PostgresServer
    valkey: ValkeyServer
    upstream: str
    guard: Guard
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    used: int = 0

    def environment(self, port: int) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": sqlalchemy_url(self.postgres.url),
            "REDIS_URL": self.valkey.url,
            "SYNCAPP_ADMIN_TOKEN": self.token,
            "SYNCAPP_SECRET_KEY": self.token,
            "TRIGGER_RATE_LIMIT": "1000000000",
            "MOCK_API_URL": f"{self.upstream}/base",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WORKER_CONCURRENCY": "2",
            "PYTHONPATH": str(ROOT),
        }

    def prepare(self, organizations: int) -> None:
        from syncapp.migrations.command import upgrade

        upgrade(sqlalchemy_url(self.postgres.url))
        with psycopg.connect(self.postgres.url) as connection:
            connection.execute(ORGANIZATIONS, (organizations,))
            connection.execute(TABLE)

    def organizations(self, count: int) -> list[str]:
        """Such as no run was started for yet: a trigger for one that has a live run starts nothing."""
        self.used += count
        return [f"bench-{number}" for number in range(self.used - count, self.used)]

    @contextmanager
    def serve(self, route: Route) -> Iterator[str]:
        """gunicorn with the product's settings; the route's address, once it answers."""
        port = free_port()
        with self._process(["gunicorn", "--config", "python:config.gunicorn", route.app], self.environment(port)):
            _wait(lambda: _listens(port), f"{route.app} did not start")
            yield f"http://127.0.0.1:{port}{route.path}"

    @contextmanager
    def work(self, route: Route) -> Iterator[None]:
        command = ["celery", "--app", route.worker[0], "--quiet", *route.worker[1:], "--concurrency", "2"]
        with self._process(command, self.environment(free_port())):
            yield

    @contextmanager
    def _process(self, module: list[str], environment: Mapping[str, str]) -> Iterator[None]:
        """A module as a process; its log goes to a file, as in production it goes to a pipe."""
        log = Path(self.postgres.home.path) / f"{module[0]}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.guard.watch(Watched(process.pid, 15, 1))
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                kill_group(process.pid)
                process.wait()
            self.guard.forget(process.pid)


def measure(stage: Stage, *, requests: int, turns: int, starts: int, tell: Callable[[str], None]) -> Measured:
    found = Measured()
    warm = max(CONNECTIONS * 4, requests // 10)
    stage.prepare((requests + warm) * turns * 2 + starts * 4 + 100)
    for route in ROUTES:
        found.starts[route.name] = _measure_starts(stage, route, starts)
        tell(f"{route.name}: started {_percentile(found.starts[route.name], 0.5):.1f} ms after the POST")
    with ExitStack() as stack:
        urls = {route.name: stack.enter_context(stage.serve(route)) for route in ROUTES}
        for turn in range(turns):
            for route in ROUTES if turn % 2 == 0 else reversed(ROUTES):
                url = urls[route.name]
                load(url, _requests(stage, url, warm), CONNECTIONS)
                loaded = load(url, _requests(stage, url, requests), CONNECTIONS)
                found.loads[route.name].append(loaded)
                tell(f"{route.name}: {loaded.rate:.0f} requests/s")
    return found


def _requests(stage: Stage, url: str, count: int) -> list[bytes]:
    names = stage.organizations(count)
    return [post(url, {"sync": "clients", "organization_id": name}, stage.token) for name in names]


def _measure_starts(stage: Stage, route: Route, count: int) -> list[float]:
    """Milliseconds from sending a POST to the task's own time of start, one after the other on an idle worker."""
    found = []
    with (
        stage.serve(route) as url,
        stage.work(route),
        psycopg.connect(stage.postgres.url, autocommit=True) as database,
        urllib3.PoolManager(headers={"Authorization": f"Bearer {stage.token}"}) as pool,
    ):
        for number, organization in enumerate(stage.organizations(count + 10)):
            sent = time.time()
            answer = pool.request("POST", url, json={"sync": "clients", "organization_id": organization})
            if answer.status != 202:
                raise LoadFailed(f"{url} answered {answer.status}: {answer.data[:300]!r}")
            started = _wait(lambda: _ended(database, route, organization), f"{route.name}: the task did not run")  # noqa: B023
            if number >= 10:  # the first ones open connections
                found.append((started - sent) * 1000)
    return found


def _ended(database: psycopg.Connection[Any], route: Route, organization: str) -> float | None:
    """When the run began, once the worker is idle again. Raises LoadFailed."""
    if route is PRODUCT:
        status, message = database.execute(STATUS, (organization,)).fetchone() or ("unknown", "")
        if status == "failed":
            raise LoadFailed(f"the run failed: {message}")
        if status != "completed":
            return None
    row = database.execute(STARTED.format(route.table), (organization,)).fetchone()
    return row[0] if row else None


def _wait(ask: Callable[[], Any], complaint: str) -> Any:
    end = time.monotonic() + START_SECONDS
    while not (answer := ask()):
        if time.monotonic() > end:
            raise LoadFailed(f"{complaint} within {START_SECONDS:g} s")
        time.sleep(POLL)
    return answer


def _listens(port: int) -> bool:
    with urllib3.PoolManager(retries=False, timeout=5) as pool:
        try:
            return pool.request("GET", f"http://127.0.0.1:{port}/healthz").status > 0
        except urllib3.exceptions.HTTPError:
            return False


def _percentile(values: list[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def show(found: Measured) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"**Triggers, {CONNECTIONS} connections**"
    yield ""
    yield "| | requests/s | p50 ms | p99 ms | POST to task start, p50 ms | p99 ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for route in ROUTES:
        loads, starts = found.loads[route.name], found.starts[route.name]
        cells = (
            route.name,
            f"{median(loaded.rate for loaded in loads):.0f}",
            f"{median(loaded.percentile(0.50) for loaded in loads):.1f}",
            f"{median(loaded.percentile(0.99) for loaded in loads):.1f}",
            f"{_percentile(starts, 0.50):.1f}",
            f"{_percentile(starts, 0.99):.1f}",
        )
        yield f"| {' | '.join(cells)} |"
    share = share_of_minimal(found)
    yield ""
    verdict = "met" if share >= GOAL else "missed"
    yield f"The trigger holds {share:.2f} of the minimal route's requests a second ({verdict}: {GOAL:g})."


def share_of_minimal(found: Measured) -> float:
    """The median over the turns, each of which loaded both."""
    pairs = zip(found.loads[PRODUCT.name], found.loads[MINIMAL.name], strict=True)
    return median(product.rate / minimal.rate for product, minimal in pairs)
