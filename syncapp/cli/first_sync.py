"""The first sync that `syncapp up` shows: asked for through the API, followed in PostgreSQL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import urllib3

from syncapp.cli.output import plain
from syncapp.db import Database
from syncapp.errors import DatabaseUnavailable
from syncapp.queries import RunProgress, get_progress, get_run
from syncapp.scope import EVERYONE

EVERY = 0.5  # seconds between two looks at the runs
TIMEOUT = urllib3.Timeout(connect=2.0, read=10.0)


class ApiAnswer(Exception):
    """The API answered with something other than success; the message is what it said. `status` 0 is no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Api:
    """The running API as its user sees it."""

    url: str
    token: str
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=TIMEOUT))

    def is_up(self, path: str = "/healthz") -> bool:
        """Whether it answers, by default; whether it answers `path` with 200."""
        try:
            return self._http.request("GET", self.url + path).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def shows(self, address: str) -> bool:
        """Whether a browser finds a page there: the dashboard, or Flower, which takes the token as its password."""
        headers = urllib3.make_headers(basic_auth=f"admin:{self.token}")
        try:
            return self._http.request("GET", address, headers=headers, redirect=True, retries=5).status < 400
        except urllib3.exceptions.HTTPError:
            return False

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The body of a good answer. Raises ApiAnswer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = self._http.request(method, self.url + path, headers=headers, json=body)
        except urllib3.exceptions.HTTPError as error:
            raise ApiAnswer(f"{method} {path}: {error}") from error
        try:
            body = orjson.loads(answer.data)
        except orjson.JSONDecodeError as error:
            raise ApiAnswer(f"{method} {path}: status {answer.status}", answer.status) from error
        if answer.status >= 400:
            said = body.get("details", {}).get("message") or body.get("error")
            raise ApiAnswer(f"{method} {path}: {said}", answer.status)
        return dict(body)


class FirstSync:
    """Clients and appointments on their way, and other runs, by name. `is_over` is asked until it is true.

    Raises ApiAnswer where they cannot be started.
    """

    def __init__(self, api: Api, database: Database, say: Callable[[str], None], others: Mapping[str, str]) -> None:
        self._database, self._say = database, say
        started = api.ask("POST", "/api/v1/sync/all")
        self._open = {name: str(sync["sync_id"]) for name, sync in started["syncs"].items() if sync["sync_id"]}
        self._open |= others
        for name, sync in started["syncs"].items():
            if "error" in sync:
                say(plain(f"{name}: {sync['error']['message']}"))
        self._shown: dict[str, int] = {}
        self._looked = 0.0

    def is_over(self) -> bool:
        """Looks at the runs that were not over, and says how far they are. A run that waits counts as over.

        Raises NotFound where somebody removed a run.
        """
        if time.monotonic() - self._looked < EVERY:
            return False
        self._looked = time.monotonic()
        with contextlib.suppress(DatabaseUnavailable):  # it is started again; the next look tells
            for name, sync_id in list(self._open.items()):
                self._look(name, sync_id)
        return not self._open

    @property
    def unfinished(self) -> list[str]:
        return list(self._open)

    def _look(self, name: str, sync_id: str) -> None:
        seen = get_progress(self._database, EVERYONE, sync_id)
        if seen.has_ended:
            said = outcome(name, asdict(get_run(self._database, EVERYONE, sync_id)))
        elif seen.seconds_to_wait > 0:
            said = waiting(name, seen)
        else:
            if seen.records_processed > self._shown.get(name, 0):
                self._shown[name] = seen.records_processed
                self._say(f"{name}: {seen.records_processed:,} records so far")
            return
        del self._open[name]
        self._say(plain(said))


def waiting(name: str, seen: RunProgress) -> str:
    """Until when a run waits, and what for, in a line."""
    until = f"{seen.resume_at:%H:%M:%SZ}"
    return f"{name}: waits until {until}: {seen.current_operation or 'no reason given'}; it goes on by itself"


def outcome(name: str, run: Mapping[str, Any]) -> str:
    """What a run did, in a line."""
    if run["status"] != "completed":
        error = run.get("error") or {}
        return f"{name}: {run['status']}: {error.get('message') or 'no reason given'}"
    parts = ("created", "updated", "unchanged", "deleted", "failed")
    counts = ", ".join(f"{run.get(f'records_{part}', 0):,} {part}" for part in parts)
    generated = " from GENERATED records, for the API could not be reached" if run.get("source") == "mock" else ""
    return f"{name}: completed{generated}: {counts}"


def row_counts(name: str, counts: Mapping[str, int]) -> str:
    """A table's rows as they are counted by `count_rows`: `490 clients (+10 only referred to, +25 generated)`."""
    beside = {"only referred to": counts["pending"], "generated": counts["mock"]}
    more = ", ".join(f"+{count:,} {what}" for what, count in beside.items() if count)
    return f"{counts['total'] - counts['pending']:,} {name}" + (f" ({more})" if more else "")
