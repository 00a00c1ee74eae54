"""A hotel catalogue kept by a fleet of real processes, steered over the web server as it is deployed.

`python -m tests.e2e.hotels COUNT` is the stand-in for Cupid as a process of its own, whose clock nobody's work delays.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import redis
import urllib3

from syncapp.cli import programs
from syncapp.demo.cupid import API_KEY, cupid_server
from syncapp.demo.server import DemoServer
from syncapp.demo.serving import serve
from syncapp.embedded.home import free_port
from tests.e2e.fleet import Fleet, Member
from tests.integration.api import ADMIN
from tests.keys import SECRET_KEY
from tests.waiting import wait_for

ADMINISTRATION = "/api/v1/admin/sync"
ENTRIES = "syncapp:beat:"
PROPERTY_PATH = "/v3.0/property/"
ROOT = Path(__file__).parents[2]


def steady_clock() -> Callable[[], datetime]:
    """Now, by a clock that is never set."""
    began, zero = datetime.now(UTC), time.monotonic()
    return lambda: began + timedelta(seconds=time.monotonic() - zero)


@dataclass(frozen=True)
class Asked:
    """A request, and its place in the stand-in's log. `property_id` is that of a property itself, None of what belongs
    to one; `hotel` is known of both."""

    number: int
    at: datetime
    path: str
    conditional: bool

    @property
    def property_id(self) -> int | None:
        rest = self.path.removeprefix(PROPERTY_PATH)
        return int(rest) if rest.isdecimal() else None

    @property
    def hotel(self) -> int:
        return next(int(part) for part in self.path.split("/") if part.isdecimal())


def batches(asked: Sequence[Asked], sizes: Iterable[int]) -> list[list[Asked]]:
    """One reader's requests by the batches it read, which are of these sizes: its ids only go up."""
    ids, found = sorted({one.hotel for one in asked}), []
    for size in sizes:
        if not ids:
            break
        batch, ids = set(ids[:size]), ids[size:]
        found.append([one for one in asked if one.hotel in batch])
    return found


def split_at(found: list[list[Asked]], number: int) -> tuple[list[list[Asked]], list[list[Asked]]]:
    """One reader's batches up to the one that it was at when the log held so many requests, and those after it."""
    later = [place for place, batch in enumerate(found) if batch[-1].number >= number]
    begin = later[0] + 1 if later else len(found)
    return found[:begin], found[begin:]


@dataclass
class Hotels:
    """The fleet, its API, and the list of properties that it follows."""

    fleet: Fleet
    ids: list[int]
    port: int = field(default_factory=free_port)
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    def open(self, workers: int = 1, *, beat: bool = False) -> list[Member]:
        """Starts them and the API, side by side; the workers."""
        self._start_api()
        beating = [self.fleet.start("beat", "--loglevel", "INFO")] if beat else []
        started = self.fleet.workers(workers)
        for one in beating:
            one.says("beat: Starting")
        wait_for(self._is_up, deadline=60, what="an API that answers")
        return started

    def close(self) -> None:
        """Asks everybody to end, and waits for it."""
        living = [one for one in self.fleet.members if one.alive]
        for one in living:
            one.process.terminate()
        assert [one.process.wait(60) for one in living] == [0] * len(living)
        self.http.clear()

    def _start_api(self) -> None:
        fleet = self.fleet
        variables = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": fleet.dsn,
            "REDIS_URL": fleet.redis_url,
            "MOCK_API_URL": fleet.upstream.url,
            "SYNCAPP_SECRET_KEY": SECRET_KEY,
            "SYNCAPP_ADMIN_TOKEN": ADMIN,
            "WEB_CONCURRENCY": "1",
        }
        command = programs.module(programs.WEB, variables | fleet.environment, "--bind", f"127.0.0.1:{self.port}")
        log = fleet.folder / f"{len(fleet.members)}-web.log"
        with log.open("wb") as output:
            fleet.members.append(Member(command.spawn(output), log))

    def _is_up(self) -> bool:
        try:
            return self.http.request("GET", f"http://127.0.0.1:{self.port}/healthz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    # what an admin asks

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.http.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"},
            body=None if body is None else orjson.dumps(body),
        )
        assert answer.status == status, (path, answer.status, answer.data)
        return orjson.loads(answer.data)

    def admin(self, method: str, path: str = "", body: Any = None, status: int = 200) -> Any:
        """The `data` of an answer."""
        answer = self.ask(method, f"{ADMINISTRATION}{path}", body, status)
        assert answer.keys() == {"success", "data"}
        assert answer["success"] is True
        return answer["data"]

    def start(self, **asked: Any) -> str:
        return str(self.ask("POST", "/api/v1/runs", {"sync": "properties"} | asked, 202)["sync_id"])

    def sync(self, **asked: Any) -> dict[str, Any]:
        """A run of its own; how it ended."""
        return self.ended(self.start(**asked))

    def ended(self, sync_id: str) -> dict[str, Any]:
        self.fleet.ended(sync_id)
        run: dict[str, Any] = self.ask("GET", f"/api/v1/runs/{sync_id}")
        return run

    def undo(self, sync_id: str) -> dict[str, Any]:
        return self.ended(self.ask("POST", f"/api/v1/runs/{sync_id}/undo", status=202)["sync_id"])

    def put(self, **settings: int) -> None:
        changes = [{"setting_key": key, "setting_value": value} for key, value in settings.items()]
        told = self.admin("PUT", "/settings", changes)
        assert settings.items() <= {one["setting_key"]: _number(one["setting_value"]) for one in told}.items()

    def settings(self) -> dict[str, str]:
        return {one["setting_key"]: one["setting_value"] for one in self.admin("GET", "/settings")}

    # what has come of it

    def rows(self) -> dict[int, dict[str, Any]]:
        return {row["property_id"]: row for row in self.fleet.rows("SELECT *, ctid, xmin::text FROM properties")}

    def events(self, sync_id: str) -> list[dict[str, Any]]:
        return self.fleet.rows("SELECT kind, data FROM run_events WHERE sync_id = %s ORDER BY seq", sync_id)

    def pages(self, sync_id: str, until: str = "") -> list[int]:
        """How many properties each page brought that is committed so far, or was before an event of that kind."""
        events = self.events(sync_id)
        end = next((place for place, event in enumerate(events) if event["kind"] == until), len(events))
        told = [0, *(one["data"]["records_processed"] for one in events[:end] if one["kind"] == "progress")]
        return [last - first for first, last in pairwise(told) if last > first]

    def wait_for_pages(self, sync_id: str, count: int) -> None:
        wait_for(lambda: len(self.pages(sync_id)) >= count, deadline=60, what=f"{count} pages of {sync_id}")

    def scheduled(self) -> dict[str, dict[str, Any]]:
        """What RedBeat holds, by the schedules' names."""
        with redis.Redis.from_url(self.fleet.redis_url, decode_responses=True) as client:
            names = [str(key).removeprefix(ENTRIES) for key in client.zrange(f"{ENTRIES}:schedule", 0, -1)]
            texts = {name: client.hget(f"{ENTRIES}{name}", "definition") for name in names}
            return {name: orjson.loads(text) for name, text in texts.items() if text}


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def counts(run: dict[str, Any]) -> tuple[int, ...]:
    names = ("processed", "created", "updated", "unchanged", "deleted", "failed")
    return tuple(run[f"records_{name}"] for name in names)


@contextmanager
def open_hotels(fleet: Fleet, url: str, ids: Sequence[int], **variables: str) -> Iterator[Hotels]:
    """`url` is the stand-in's; `variables` go to every process."""
    fleet.environment |= {
        "CUPID_API_URL": f"{url}/v3.0",
        "CUPID_API_KEY": API_KEY,
        "CUPID_PROPERTY_IDS": ",".join(map(str, ids)),
        "LEASE_SECONDS": "3",
        **variables,
    }
    hotels = Hotels(fleet, sorted(ids))
    try:
        yield hotels
    finally:
        hotels.http.clear()


@dataclass
class Here:
    """The stand-in in the test's own process."""

    server: DemoServer

    def hotel(self, property_id: int) -> dict[str, Any]:
        """As the stand-in holds it: what a test changes here is served from then on."""
        return next(row for row in self.server.records["properties"] if row["hotel_id"] == property_id)

    @property
    def ids(self) -> list[int]:
        return sorted(row["hotel_id"] for row in self.server.records["properties"])

    def asked(self) -> list[Asked]:
        return [
            Asked(number, one.at, one.path, "if-none-match" in one.headers)
            for number, one in enumerate(list(self.server.requests))
        ]


@dataclass
class Apart:
    """The stand-in as a process of its own, asked over its control routes."""

    url: str
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    @property
    def ids(self) -> list[int]:
        return sorted(row["hotel_id"] for row in self._call("GET", "/_records/properties"))

    def asked(self) -> list[Asked]:
        return [
            Asked(number, datetime.fromisoformat(one["at"]), one["path"], "if-none-match" in one["headers"])
            for number, one in enumerate(self._call("GET", "/_requests"))
        ]

    def forget(self) -> None:
        self._call("DELETE", "/_requests")

    def fail(self, kind: str, **details: Any) -> None:
        self._call("POST", "/_faults", {"kind": kind} | details)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        sent = None if body is None else orjson.dumps(body)
        answer = self.http.request(method, f"{self.url}{path}", body=sent)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)


@contextmanager
def open_here(properties: int, **settings: Any) -> Iterator[Here]:
    with cupid_server(properties, clock=steady_clock(), **settings) as server:
        yield Here(server)


@contextmanager
def open_apart(fleet: Fleet, properties: int) -> Iterator[Apart]:
    """It ends with the fleet."""
    command = programs.module(("tests.e2e.hotels",), {"PYTHONPATH": str(ROOT)}, str(properties))
    log = fleet.folder / f"{len(fleet.members)}-cupid.log"
    with log.open("wb") as output:
        fleet.members.append(Member(command.spawn(output), log))
    made = Apart(fleet.members[-1].says(r"listens on (\S+)")[1])
    try:
        yield made
    finally:
        made.http.clear()


if __name__ == "__main__":
    upstream = cupid_server(int(sys.argv[1]), clock=steady_clock())
    serve(upstream, f"the stand-in listens on {upstream.url}", str, 0)
