"""`syncapp up` for real: every process, the first sync, kills, the end."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
import urllib3

from syncapp.embedded.home import Home
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SERVICES = {"web", "worker", "light", "beat", "flower", "demo", "cliniko", "cupid", "postgres", "valkey"}
OURS = re.compile(
    r"^(DATABASE_URL|POSTGRES_|REDIS_URL|MOCK_|SYNCAPP_|FLOWER_|PORT$|LOG_|WEB_|WORKER_|EXTERNAL_|CLINIKO_|CUPID_|AUTH_)"
)


class Up:
    """A running `syncapp up`; its output goes to a file."""

    def __init__(self, home: Path, output: Path, words: tuple[str, ...], **variables: str) -> None:
        self.home = home
        self.output = output
        env = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        self.bare = {**env, "SYNCAPP_HOME": str(home)}
        with output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "syncapp", "up", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**env, "SYNCAPP_HOME": str(home), "WEB_CONCURRENCY": "1", "WORKER_CONCURRENCY": "2", **variables},
            )
        self.family: set[psutil.Process] = set()

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.text()
            return "Ctrl-C ends everything" in self.text()

        wait_for(ready, deadline=180, what=f"syncapp up:\n{self.text()}")
        self.remember()

    def remember(self) -> None:
        self.family |= set(psutil.Process(self.process.pid).children(recursive=True))

    def left_over(self) -> list[psutil.Process]:
        return [one for one in self.family if one.is_running() and one.status() not in {"zombie", "dead"}]

    def said(self, pattern: str) -> str:
        found = re.search(pattern, self.text())
        assert found is not None, self.text()
        return found[1]

    @property
    def api(self) -> str:
        return self.said(r"API +(http://127\.0\.0\.1:\d+)/docs")

    @property
    def token(self) -> str:
        return self.said(r"admin token +(\S+)")

    def get(self, path: str) -> dict[str, Any]:
        answer = urllib3.request(
            "GET", self.api + path, headers={"Authorization": f"Bearer {self.token}"}, retries=False, timeout=60
        )
        assert answer.status == 200, answer.data
        return dict(orjson.loads(answer.data))

    def command(self, *words: str) -> dict[str, Any]:
        """What a `syncapp` command says that is told nothing but the data folder."""
        called = [sys.executable, "-m", "syncapp", *words, "--json"]
        done = subprocess.run(called, env=self.bare, capture_output=True, timeout=60, check=False)
        return dict(orjson.loads(done.stdout)) | {"exit_code": done.returncode}

    def child(self, *words: str) -> psutil.Process | None:
        """The supervisor's own child whose command line has all the words."""
        for one in psutil.Process(self.process.pid).children():
            try:
                line = " ".join(one.cmdline())
            except psutil.Error:  # it has just ended
                continue
            if all(word in line for word in words):
                return one
        return None


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    folder = Path(tempfile.mkdtemp(prefix="syncapp-up-"))
    folder.chmod(0o711)
    started: list[Up] = []

    def start(name: str = "home", *words: str, **variables: str) -> Up:
        started.append(Up(folder / name, tmp_path / f"output-{len(started)}", words, **variables))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(60)
    for home in folder.iterdir():
        Home(home).discard()
    folder.rmdir()


def test_everything_runs_syncs_survives_kills_and_ends(up: Callable[..., Up]) -> None:
    one = up()
    one.wait_until_ready()
    text = one.text()
    assert set(re.findall(r"^(\w+) +\| ", text, re.MULTILINE)) <= SERVICES | {"syncapp"}
    counts = {
        table: int(one.said(rf"([\d,]+) {table}\b.*\n").replace(",", "")) for table in ("clients", "appointments")
    }
    assert min(counts.values()) > 0
    assert "clients: completed" in text
    assert "appointments: completed" in text
    assert "cliniko of demo: completed" in text
    practice = one.get("/api/v1/cliniko/status/demo")
    assert (practice["credentials_valid"], practice["sync_status"]) == (True, "healthy")
    patients = int(one.said(r"of the organization demo: ([\d,]+) patients").replace(",", ""))
    assert practice["total_patients"] >= patients > 100

    token_file = one.home / "admin-token"
    assert token_file.read_text().strip() == one.token
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert one.token not in (one.home / "syncapp.log").read_text()
    secrets = [one.token, *((one.home / name).read_text().strip() for name in ("postgres-password", "valkey-password"))]
    for process in one.family:
        for secret in secrets:
            assert secret not in " ".join(process.cmdline())

    flower = one.said(r"Flower +(http://127\.0\.0\.1:\d+)")
    assert urllib3.request("GET", f"{flower}/workers", retries=False).status == 401
    wait_for(lambda: one.child("celery", "beat"))
    assert one.get("/readyz")["status"] == "ready"
    well = wait_for(lambda: (found := one.command("doctor"))["ok"] and found, what="a syncapp doctor that is content")
    assert well["exit_code"] == 0
    assert one.command("runs")["total"] == 2

    for words in (
        ("gunicorn",),
        ("worker@%h",),
        ("beat", "--pidfile="),
        ("flower",),
        ("wellness",),
        ("syncapp.demo.cliniko",),
        ("syncapp.demo.cupid",),
        ("valkey-server",),
    ):
        victim = wait_for(lambda words=words: one.child(*words))
        victim.kill()
        wait_for(
            lambda words=words, victim=victim: (found := one.child(*words)) and found.pid != victim.pid,
            what=f"the next {words}",
        )
    postgres = wait_for(lambda: one.child("postgres", "listen_addresses=127.0.0.1"))
    postgres.kill()
    wait_for(lambda: one.get("/api/v1/sync/status"), deadline=60)

    one.remember()
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(60) == 0
    wait_for(lambda: not one.left_over(), deadline=15, what=f"the end of {one.left_over()}")
    assert "is killed" not in one.text()


def test_a_killed_up_leaves_nothing_and_the_next_one_has_the_rows(up: Callable[..., Up]) -> None:
    first = up()
    first.wait_until_ready()
    refused = up()
    assert refused.process.wait(60) == 1
    assert f"already runs on {first.home} (process {first.process.pid})" in refused.text()
    first.process.kill()
    first.process.wait()
    second = up()
    second.wait_until_ready()
    wait_for(lambda: not first.left_over(), deadline=60)
    assert second.token == first.token
    assert "clients: completed: 0 created" in second.text()


def test_two_run_at_once_where_no_port_is_named(up: Callable[..., Up]) -> None:
    one, two = up("one"), up("two")
    one.wait_until_ready()
    two.wait_until_ready()
    assert one.api != two.api
    for running in (one, two):
        assert running.get("/api/v1/sync/status")
        assert int(running.said(r"in PostgreSQL now: ([\d,]+) clients").replace(",", "")) > 0


def test_an_api_that_cannot_be_reached_is_said_and_everything_else_is_there(up: Callable[..., Up]) -> None:
    address = "http://127.0.0.1:1"
    one = up(MOCK_API_URL=address)
    one.wait_until_ready()
    text = one.text()
    for name in ("clients", "appointments"):
        assert re.search(rf"{name}: waits until [\d:]{{8}}Z: Unable .* refused\); it goes on by itself", text), text
    assert "in PostgreSQL now: 0 clients, 0 appointments" in text
    assert re.search(r"ready after [\d.]+ s", text)
    assert one.get("/readyz")["status"] == "ready"
    assert one.said(r"Flower +(http://127\.0\.0\.1:\d+)")
    assert "/api/v1/runs" not in text
    checks = {check["name"]: check["found"] for check in one.command("doctor")["checks"]}
    assert "refused" in checks["clients: upstream"]


def test_with_json_every_line_is_a_document(up: Callable[..., Up]) -> None:
    one = up("home", "--json", WEB_CONCURRENCY="")
    one.wait_until_ready()
    refused = up("home", "--json")
    assert refused.process.wait(60) == 1
    [line] = [line for line in refused.text().splitlines() if not line.startswith("Error: ")]
    assert "already runs on" in orjson.loads(line)["details"]["message"]
    lines = [orjson.loads(line) for line in one.text().splitlines()]
    assert {line["process"] for line in lines} <= SERVICES | {"syncapp"}
    [where] = [line for line in lines if "api" in line]
    assert where["admin_token"] == (one.home / "admin-token").read_text().strip()
    assert urllib3.request("GET", f"{where['api']}/healthz", retries=False).status == 200
    assert urllib3.request("GET", f"{where['flower']}/workers", retries=False).status == 401


def test_wrong_variables_and_taken_ports_are_said_at_once(up: Callable[..., Up]) -> None:
    wrong = up(LOG_LEVEL="LOUD", WORKER_CONCURRENCY="many")
    assert wrong.process.wait(60) == 1
    assert "LOG_LEVEL" in wrong.text()
    assert "WORKER_CONCURRENCY" in wrong.text()
    assert "Traceback" not in wrong.text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        late = up(PORT=str(port))
        assert late.process.wait(60) == 1
        assert f"PORT {port} is taken" in late.text()
    lost = up(DATABASE_URL="postgresql://nobody:hidden-password@127.0.0.1:1/none", REDIS_URL="redis://127.0.0.1:1/0")
    assert lost.process.wait(60) == 1
    assert "REDIS_URL cannot be used" in lost.text()
    lost = up(DATABASE_URL="postgresql://nobody:hidden-password@127.0.0.1:1/none")
    assert lost.process.wait(60) == 1
    assert "PostgreSQL cannot be reached" in lost.text()
    assert "hidden-password" not in lost.text()
    assert "Traceback" not in lost.text()
