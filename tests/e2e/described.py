"""The API as it is deployed, with something of everything in its database, and schemathesis against its document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import urllib3

from syncapp.cli import programs
from syncapp.demo.cliniko_api import ClinikoServer
from syncapp.embedded.guard import Guard
from syncapp.embedded.home import free_port
from tests.faults.processes import Running
from tests.furnished import KEYS, furnish
from tests.integration.api import ADMIN
from tests.keys import SECRET_KEY
from tests.waiting import wait_for

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = CONFIG.parents[2]
NOWHERE = "http://127.0.0.1:9"
VARIABLES = {
    "PATH": os.environ["PATH"],
    "WEB_CONCURRENCY": "1",
    "SYNCAPP_ADMIN_TOKEN": ADMIN,
    "SYNCAPP_SECRET_KEY": SECRET_KEY,
    "TRIGGER_RATE_LIMIT": "1000000",
    "MOCK_API_URL": NOWHERE,
    "CUPID_API_URL": NOWHERE,
    "CUPID_API_KEY": "nobody-asks-for-it",
    "EXTERNAL_API_RETRY_ATTEMPTS": "0",
    "LOG_FORMAT": "console",
}
# No worker is there, and yet whatever is started has something to tell at once.
EVENTS = """
CREATE FUNCTION number_event() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.event_seq := 1; RETURN NEW; END $$;
CREATE FUNCTION tell_event() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO run_events (sync_id, seq, kind) VALUES (NEW.sync_id, 1, 'started'); RETURN NEW; END $$;
CREATE TRIGGER number_event BEFORE INSERT ON sync_runs FOR EACH ROW EXECUTE FUNCTION number_event();
CREATE TRIGGER tell_event AFTER INSERT ON sync_runs FOR EACH ROW EXECUTE FUNCTION tell_event();
"""


@dataclass
class Found:
    """What schemathesis has found: its words, and the statuses of each operation, `GET /api/v1/runs`."""

    is_fine: bool
    text: str
    statuses: dict[str, set[int]]

    def tried(self) -> set[str]:
        return set(self.statuses)

    def taken(self) -> set[str]:
        """The operations that have succeeded."""
        return {name for name, statuses in self.statuses.items() if min(statuses) < 300}


@dataclass
class Described:
    url: str
    folder: Path

    def call(self, method: str, path: str, **body: str) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return urllib3.request(method, self.url + path, headers=headers, json=body or None, retries=False)

    def make_token(self, organization_id: str) -> str:
        """A member's."""
        answer = self.call("POST", f"/api/v1/organizations/{organization_id}/tokens", name="tests")
        assert answer.status == 201, answer.data
        return str(answer.json()["token"])

    def try_out(self, *options: str, token: str | None = None) -> Found:
        """All phases and checks of schemathesis, over the whole document; in one process, so in one order."""
        answers = self.folder / "answers"
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", "--no-color"]
        command += [f"{self.url}/openapi.json", "--checks", "all", *options]
        if token is not None:
            command += ["--header", f"Authorization: Bearer {token}"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        statuses = defaultdict(set)
        for line in answers.read_text().splitlines() if answers.exists() else ():
            operation, status = json.loads(line)
            statuses[operation].add(status)
        return Found(done.returncode == 0, done.stdout + done.stderr, statuses)


@contextmanager
def open_described(folder: Path, guard: Guard, dsn: str, redis_url: str) -> Iterator[Described]:
    furnish(dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute(EVENTS)
    port = free_port()
    with ClinikoServer(dict.fromkeys(KEYS.values()), limit=1_000_000) as cliniko:
        variables = VARIABLES | {"DATABASE_URL": dsn, "REDIS_URL": redis_url, "PORT": str(port)}
        variables |= {"CLINIKO_API_URL": f"{cliniko.url}/v1"}
        web = Running.start("web", programs.module(programs.WEB, variables), folder / "web.log", guard)
        made = Described(f"http://127.0.0.1:{port}", folder)
        try:
            web.says("Booting worker")
            wait_for(lambda: _answers(made), deadline=60, what="a web server that answers")
            for organization, key in KEYS.items():
                answer = made.call("PUT", f"/api/v1/cliniko/credentials/{organization}", api_key=key)
                assert answer.status == 200, answer.data
            yield made
        finally:
            web.close()


def _answers(described: Described) -> bool:
    try:
        return described.call("GET", "/healthz").status == 200
    except urllib3.exceptions.HTTPError:
        return False
