"""Secrets planted in a running installation, and looked for wherever anything is written down."""

from __future__ import annotations

import base64
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import psycopg
import pytest
import urllib3

from syncapp.cli import programs
from syncapp.demo.cliniko_api import ClinikoServer
from syncapp.demo.cliniko_records import make_records
from syncapp.demo.cupid import cupid_server
from syncapp.demo.server import DemoServer
from syncapp.embedded.guard import Guard
from syncapp.embedded.home import free_port
from syncapp.embedded.postgres import PostgresServer
from tests.e2e.planted import Search, all_of_redis, commands_to_redis, forms, pg_dump
from tests.faults.processes import Running
from tests.rest import rows
from tests.sse import Stream
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

ADMIN = "admin/planted+token=7f3b9c1d5e"
SECRET_KEY = "secret/planted+key=2a6e8d4c0b-of-the-site"
UPSTREAM_KEY = "upstream/planted+key=91c7e5a3f0"
KEY = "planted+cliniko/key=MS0xNzM0NTY3ODkw-au4"
CUPID_KEY = "planted+cupid/key=5e0b7d21f4"
WRONG_KEY = "planted+wrong/key=ZZ0xNzM0NTY3ODkw-uk2"
ECHO = "you sent {0} and {1}"
FINAL = ("completed", "failed", "cancelled")
FLOWER = (*programs.FLOWER, "--logging=debug")  # it has a level of its own
PAGES = {
    "/": "worker@",
    "/workers": "worker@",
    "/tasks": "</table>",
    "/broker": "mailers",
    "/metrics": "flower_events_total",
    "/api/task/types": "syncapp.run",
    "/api/queues/length": "mailers",
}


def pair_of(key: str) -> str:
    return base64.b64encode(f"{key}:".encode()).decode()


@dataclass
class Site:
    """Every process of the Procfile, at the level of debug; `search` gets all that they are heard to say."""

    folder: Path
    guard: Guard
    dsn: str
    redis_url: str
    cliniko: ClinikoServer
    wellness: DemoServer
    cupid: DemoServer
    search: Search
    port: int = field(default_factory=free_port)
    flower_port: int = field(default_factory=free_port)
    started: dict[str, Running] = field(default_factory=dict)
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))
    member: str = ""

    def start(self, name: str, argv: tuple[str, ...]) -> Running:
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "LOG_LEVEL": "DEBUG",
            "DATABASE_URL": self.dsn,
            "REDIS_URL": self.redis_url,
            "SYNCAPP_ADMIN_TOKEN": ADMIN,
            "SYNCAPP_SECRET_KEY": SECRET_KEY,
            "MOCK_API_URL": self.wellness.url,
            "MOCK_API_KEY": UPSTREAM_KEY,
            "CLINIKO_API_URL": f"{self.cliniko.url}/v1",
            "CUPID_API_URL": f"{self.cupid.url}/v3.0",
            "CUPID_API_KEY": CUPID_KEY,
            "CUPID_PROPERTY_IDS": ",".join(str(row["hotel_id"]) for row in self.cupid.records["properties"]),
            "SYNC_RETRY_ATTEMPTS": "0",
            "PORT": str(self.port),
            "FLOWER_PORT": str(self.flower_port),
            "WEB_CONCURRENCY": "1",
            "WORKER_CONCURRENCY": "1",
            "WORKER_MAX_RETRIES": "0",
            "EXTERNAL_API_RETRY_ATTEMPTS": "0",
        }
        self.started[name] = Running.start(name, programs.module(argv, variables), self.folder / name, self.guard)
        return self.started[name]

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Any:
        """An answer, kept to be searched; its body."""
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        head = {"Authorization": f"Bearer {token or self.member}", "Content-Type": "application/json", **headers}
        answer = self.http.request(method, f"http://127.0.0.1:{self.port}{path}", headers=head, body=data)
        head_and_body = f"{answer.status} {dict(answer.headers)}\n".encode() + answer.data
        self.search.add(f"answers to {method} {path.partition('?')[0]}", head_and_body, "X-Request-ID")
        return orjson.loads(answer.data) if "json" in answer.headers.get("Content-Type", "") else answer.data

    def flower(self, path: str) -> Any:
        address = f"http://127.0.0.1:{self.flower_port}{path}"
        answer = self.http.request("GET", address, headers=urllib3.make_headers(basic_auth=f"admin:{ADMIN}"))
        assert answer.status == 200, (path, answer.data[:500])
        return answer.data

    def is_up(self) -> bool:
        try:
            return self.http.request("GET", f"http://127.0.0.1:{self.port}/healthz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def ended(self, sync_id: str) -> str:
        """How the run ended."""

        def look() -> str | None:
            with psycopg.connect(self.dsn) as connection:
                query = "SELECT status, error_type FROM sync_runs WHERE sync_id = %s"
                ((status, error_type),) = connection.execute(query, (sync_id,)).fetchall()
            return f"{status} {error_type or ''}".strip() if status in FINAL else None

        ended = wait_for(look, deadline=60, what=f"the end of {sync_id}")
        for path in (f"runs/{sync_id}", f"runs/{sync_id}/errors", f"runs/{sync_id}/events", f"sync/progress/{sync_id}"):
            self.ask("GET", f"/api/v1/{path}", token=ADMIN)
        return ended


@pytest.fixture
def site(tmp_path: Path, guard: Guard, database_dsn: str, redis_url: str) -> Iterator[Site]:
    secrets = {
        "the admin token": ADMIN,
        "SYNCAPP_SECRET_KEY": SECRET_KEY,
        "MOCK_API_KEY": UPSTREAM_KEY,
        "CUPID_API_KEY": CUPID_KEY,
        "a Cliniko key": KEY.removesuffix("-au4"),
        "a refused Cliniko key": WRONG_KEY.removesuffix("-uk2"),
        "the password of PostgreSQL": str(urlsplit(database_dsn).password),
        "the password of Redis": str(urlsplit(redis_url).password),
    }
    cliniko = ClinikoServer({KEY: make_records(1, patients=60, appointments=60)})
    wellness = DemoServer({"clients": rows(30), "appointments": []}, api_key=UPSTREAM_KEY)
    with cliniko, wellness, cupid_server(2, api_key=CUPID_KEY) as cupid:
        made = Site(tmp_path, guard, database_dsn, redis_url, cliniko, wellness, cupid, Search(secrets))
        made.start("web", programs.WEB)
        wait_for(made.is_up, deadline=60, what="a web server that answers")
        yield made
        for process in made.started.values():
            process.close()
        made.http.clear()


def set_up(site: Site) -> None:
    """An organization with a token and a key; keys that are refused, and requests that are wrong."""
    site.ask("POST", "/api/v1/organizations", {"id": "acme", "name": "Acme"}, ADMIN)
    shown = site.http.request(  # the one answer that shows a secret
        "POST",
        f"http://127.0.0.1:{site.port}/api/v1/organizations/acme/tokens",
        headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"},
        body=orjson.dumps({"name": "member", "role": "member"}),
    )
    site.member = site.search.secrets["a member's token"] = orjson.loads(shown.data)["token"]
    path = "/api/v1/cliniko/credentials/acme"
    site.cliniko.fail("status", path="/v1/*", times=1, status=401, text=ECHO.format(WRONG_KEY, pair_of(WRONG_KEY)))
    wrong: tuple[Any, ...] = ({"api_key": WRONG_KEY}, {"api_key": f"{KEY} x"}, {"apikey": KEY}, {"api_key": [KEY]})
    for body in (*wrong, [KEY], b'{"api_key": "' + KEY.encode()):
        assert site.ask("PUT", path, body)["success"] is False
    assert site.ask("PUT", path, {"api_key": KEY})["credentials_valid"] is True
    for token in (f"{site.member}x", ADMIN[:-1]):
        assert site.ask("GET", "/api/v1/runs", token=token)["success"] is False
    login = base64.b64encode(f"admin:{ADMIN}".encode()).decode()
    assert site.ask("GET", "/api/v1/runs", Authorization=f"Basic {login}")["success"] is False
    site.ask("GET", f"/api/v1/runs?token={site.member}&access_token={site.member}")
    with socket.create_connection(("127.0.0.1", site.port), 30) as raw:
        raw.sendall(f"GET /api/v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\x00\r\n\r\n".encode())
        site.search.add("the answer to a broken request", raw.recv(65_536), "400")


def work_and_fail(site: Site) -> str:
    """Runs that fail in every way, and some that do not, with sources that repeat what they were sent; the last one."""
    clinic, text = "/api/v1/cliniko/import-patients/acme", ECHO.format(KEY, pair_of(KEY))
    for kind, details, outcome in (
        ("body", {"text": text}, "failed invalid_data_format"),
        ("html", {"text": text}, "failed invalid_data_format"),
        ("status", {"status": 500, "text": text}, "failed api_connection_failed"),
        ("status", {"status": 400, "text": text}, "failed api_connection_failed"),
        ("redirect", {"text": f"//elsewhere/{KEY}?{pair_of(KEY)}"}, "failed api_connection_failed"),
        ("garbage", {}, "completed"),
        ("status", {"status": 401, "text": text}, "failed api_connection_failed"),
    ):
        site.cliniko.fail(kind, path="/v1/patients", times=1, **details)
        assert site.ended(site.ask("POST", clinic)["sync_id"]) == outcome, kind
    refused = site.ask("POST", clinic)
    assert refused["details"]["error_code"] == "CREDENTIALS_REFUSED"
    site.cliniko.fail("html", path="/v1/patients", times=1, text=text)
    assert site.ask("GET", "/api/v1/cliniko/test-connection/acme")["success"] is False
    assert site.ask("GET", "/api/v1/cliniko/test-connection/acme")["success"] is True
    text = f"you sent {CUPID_KEY}"
    for kind, details, outcome in (
        ("body", {"text": text}, "failed invalid_data_format"),
        ("status", {"status": 401, "text": text}, "failed api_connection_failed"),
        ("redirect", {"text": f"//elsewhere/{CUPID_KEY}"}, "failed api_connection_failed"),
        ("delay", {"seconds": 0.0}, "completed"),
    ):
        site.cupid.faults.clear()
        site.cupid.fail(kind, **details)
        assert site.ended(site.ask("POST", "/api/v1/admin/sync", token=ADMIN)["data"]["sync_id"]) == outcome, kind
    wellness, text = "/api/v1/sync/clients", f"you sent {UPSTREAM_KEY}"
    for kind, details, outcome in (
        ("body", {"text": text}, "failed invalid_data_format"),
        ("status", {"status": 401, "text": text}, "failed api_connection_failed"),
        ("garbage", {}, "completed"),
    ):
        site.wellness.fail(kind, times=1, **details)
        assert site.ended(site.ask("POST", wellness, token=ADMIN)["sync_id"]) == outcome, kind
    site.wellness.stop()
    last = str(site.ask("POST", wellness, token=ADMIN)["sync_id"])
    assert site.ended(last) == "failed api_connection_failed"
    return last


def read_everything(site: Site, sync_id: str) -> None:
    """Every route that only reads, as admin and as member."""
    hotel = site.cupid.records["properties"][0]["hotel_id"]
    values = {"organization_id": "acme", "sync_id": sync_id, "property_id": hotel}
    for path, methods in site.ask("GET", "/openapi.json")["paths"].items():
        if "get" in methods:
            for token in (ADMIN, site.member):
                site.ask("GET", path.format_map(values), token=token)


def look_at_flower(site: Site, sync_id: str) -> None:
    wait_for(lambda: sync_id.encode() in site.flower("/api/tasks"), what="a run in Flower")
    workers = orjson.loads(site.flower("/api/workers?refresh=1"))
    site.search.add("Flower /api/workers", orjson.dumps(workers), "broker_transport_options")
    tasks = orjson.loads(site.flower("/api/tasks"))
    site.search.add("Flower /api/tasks", orjson.dumps(tasks), sync_id)
    told = [task for task in tasks.values() if task["received"]]  # some may have come before Flower was there
    assert {task["kwargs"] for task in told} == {"{}"}
    assert all(re.fullmatch(r"\('[\w-]+',\)", task["args"]) for task in told)  # an id, and nothing else
    for path, mark in PAGES.items():
        site.search.add(f"Flower {path}", site.flower(path), mark)
    for name in workers:
        site.search.add("Flower /worker", site.flower(f"/worker/{name}"), name)
    for task in tasks:
        site.search.add("Flower /task", site.flower(f"/task/{task}"), task)
        site.search.add("Flower /api/task/info", site.flower(f"/api/task/info/{task}"), task)


def test_no_secret_is_written_down_anywhere(site: Site, postgres: PostgresServer) -> None:
    search = site.search
    with commands_to_redis(site.redis_url) as commands:
        set_up(site)
        first = site.ask("POST", "/api/v1/cliniko/sync/acme", **{"Idempotency-Key": "once"})["sync_id"]
        waiting = site.ask("POST", "/api/v1/sync/all", token=ADMIN)
        search.add("Redis while runs wait", all_of_redis(site.redis_url), "syncapp.run")
        for name, argv in (("worker", programs.SYNC_WORKER), ("beat", programs.BEAT), ("flower", FLOWER)):
            site.start(name, argv)
        with Stream(site.port, f"/api/v1/runs/{first}/events", Authorization=f"Bearer {site.member}") as stream:
            said = "\n".join(f"{event.kind} {event.data}" for event in stream.events)
            search.add("a stream of events", said, "completed")
        assert site.ended(first) == "completed"
        for name in ("clients", "appointments"):
            assert site.ended(waiting["syncs"][name]["sync_id"]) == "completed"
        search.add("Redis at work", all_of_redis(site.redis_url), "syncapp:beat:")
        last = work_and_fail(site)
        read_everything(site, first)
        look_at_flower(site, last)
        family = [psutil.Process(one.pid) for one in site.started.values()]
        family += [child for one in family for child in one.children(recursive=True)]
        search.add("the arguments of the processes", "\n".join(" ".join(one.cmdline()) for one in family), "gunicorn")
        for name in ("beat", "flower", "worker", "web"):
            site.started[name].end()
        search.add("Redis at the end", all_of_redis(site.redis_url), "LIMITS")
    search.add("all that Redis was told", "\n".join(commands), first)
    marks = {"web": '"path":"/api/v1/runs"', "worker": first, "beat": "beat: Starting", "flower": "[D "}
    for name, mark in marks.items():
        search.add(f"the log of {name}", site.started[name].text, mark)
        assert name == "flower" or '"level":"debug"' in site.started[name].text, name
    search.add("the log of PostgreSQL", postgres.log.read_bytes(), "ready to accept connections")
    search.add("the database", pg_dump(site.dsn), "COPY public.credentials")

    sent = " ".join(request.headers["authorization"] for request in site.cliniko.requests).encode()
    assert any(form in sent for form in forms(search.secrets["a Cliniko key"]))  # it would be found
    assert {request.headers["x-api-key"] for request in site.cupid.requests} == {CUPID_KEY}
    assert len(search.secrets) == 9
    assert len(search.places) > 50
    assert search.found() == set()
