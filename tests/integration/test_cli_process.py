"""The installed `syncapp` as a process: signals, exit codes, and what it finds around itself."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from syncapp.embedded.home import Home
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.running import record
from tests.integration.cli import KEY, Shell, one_line
from tests.waiting import wait_for

SYNCAPP = Path(sys.executable).with_name("syncapp")
DEADLINE = 60.0


def environment(shell: Shell, **more: str) -> dict[str, str]:
    given = {name: value for name, value in shell.environment.items() if value is not None}
    return {"PATH": os.environ["PATH"], **given, **more}


def call(variables: dict[str, str], *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SYNCAPP, *words], env=variables, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@pytest.fixture
def background(shell: Shell) -> Iterator[Background]:
    started = Background(shell)
    yield started
    started.close()


class Background:
    """A command that is still running."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [SYNCAPP, *words],
            env=environment(self.shell, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


def wait_for_run(shell: Shell, condition: str) -> str:
    """The id of the one run for which the condition comes true."""

    def look() -> str | None:
        found = shell.rows(f"SELECT sync_id FROM sync_runs WHERE {condition}")
        return found[0]["sync_id"] if found else None

    return wait_for(look, deadline=DEADLINE, what=f"a run with {condition}")


@pytest.mark.parametrize(
    "words", [("runs",), ("sync", "clients"), ("trigger", "clients"), ("db", "upgrade"), ("syncs",)]
)
def test_a_database_that_is_down_is_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    down = environment(shell, DATABASE_URL="postgresql://syncapp:a-password@127.0.0.1:1/syncapp")
    for form in ((), ("--json",)):
        ended = call(down, *words, *form)
        assert ended.returncode == 1
        line = one_line(ended.stderr)
        assert line.startswith("Error: PostgreSQL cannot be reached: ")
        assert "127.0.0.1" in line
        assert "Connection refused" in line
        assert "DATABASE_URL" in line
        assert "a-password" not in line
        if form:
            assert orjson.loads(ended.stdout)["details"]["error_type"] == "database_error"
        else:
            assert ended.stdout == ""


def test_standard_output_holds_the_result_alone(shell: Shell) -> None:
    ended = call(environment(shell), "sync", "clients")
    assert ended.stdout == "clients: completed: 30 created, 0 updated, 0 unchanged, 0 deleted, 0 failed\n"
    assert (ended.stderr, ended.returncode) == ("", 0)
    logged = call(environment(shell, LOG_LEVEL="INFO"), "sync", "clients", "--json")
    assert orjson.loads(logged.stdout)["status"] == "completed"
    assert '"event":"run.started"' in logged.stderr


def test_it_works_as_a_module_too(shell: Shell) -> None:
    words = [sys.executable, "-m", "syncapp", "--json", "runs"]
    ended = subprocess.run(words, env=environment(shell), capture_output=True, timeout=DEADLINE, check=True)
    assert orjson.loads(ended.stdout)["total"] == 0


def test_beside_a_running_up_nothing_has_to_be_named(shell: Shell, tmp_path: Path) -> None:
    home = Home(tmp_path / ".syncapp")
    descriptor = home.lock()
    assert descriptor is not None
    given = environment(shell)
    others = {"SOURCE_TIMEZONE": "Europe/Berlin", "SIDEKIQ_MAX_RETRIES": "7", "SYNCAPP_ADMIN_TOKEN": "x", "PORT": "1"}
    record(home, given | {"MOCK_API_KEY": KEY, "REDIS_URL": ""} | others)
    recorded = tmp_path / ".syncapp" / "environment.json"
    found = orjson.loads(recorded.read_bytes())
    assert found.keys() - given.keys() == {"SOURCE_TIMEZONE", "WORKER_MAX_RETRIES"}
    assert (found["SOURCE_TIMEZONE"], found["WORKER_MAX_RETRIES"]) == ("Europe/Berlin", "7")
    assert found.keys() >= {"DATABASE_URL", "MOCK_API_URL", "MOCK_API_KEY"}
    assert stat.S_IMODE(recorded.stat().st_mode) == 0o600
    bare = {
        name: value for name, value in given.items() if name not in ("DATABASE_URL", "MOCK_API_URL", "MOCK_API_KEY")
    }
    ended = call(bare, "sync", "clients", "--json", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert orjson.loads(ended.stdout)["records_created"] == 30
    os.close(descriptor)


def test_where_nothing_runs_it_is_said_how_to_start_it(shell: Shell, tmp_path: Path) -> None:
    bare = {name: value for name, value in environment(shell).items() if name != "DATABASE_URL"}
    ended = call(bare, "runs", cwd=tmp_path)
    assert ended.returncode == 1
    line = one_line(ended.stderr)
    assert "DATABASE_URL is missing" in line
    assert "`make up`" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_the_run_back_and_the_next_call_goes_on(
    shell: Shell, background: Background, number: signal.Signals, code: int
) -> None:
    shell.upstream.fail("hang", page=3)
    process = background.start("sync", "clients")
    sync_id = wait_for_run(shell, "records_processed = 20")
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (code, "")
    assert one_line(err).startswith(f"Error: {number.name}: {sync_id} stopped after 20 records and goes on from there")
    [run] = shell.rows("SELECT status, lease_owner, resume_at, attempt FROM sync_runs")
    assert run == {"status": "running", "lease_owner": None, "resume_at": None, "attempt": 0}

    shell.upstream.faults.clear()
    finished = shell.json("sync", "clients")
    assert (finished["sync_id"], finished["records_created"], finished["records_processed"]) == (sync_id, 30, 30)


def test_a_dry_run_that_is_interrupted_is_cancelled(shell: Shell, background: Background) -> None:
    shell.upstream.fail("hang", page=3)
    process = background.start("sync", "clients", "--dry-run", "--json")
    wait_for_run(shell, "records_processed = 20")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert orjson.loads(out)["status"] == "cancelled"
    assert "the dry run was cancelled; nothing was changed" in one_line(err)


def test_a_run_that_waits_is_left_to_wait(shell: Shell, background: Background) -> None:
    shell.upstream.fail("status", page=2, status=429, headers={"Retry-After": "3000"})
    process = background.start("sync", "clients")
    sync_id = wait_for_run(shell, "resume_at IS NOT NULL")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert sync_id in err.splitlines()[-1]
    assert shell.json("run", sync_id)["status"] == "running"


def test_following_ends_and_the_run_goes_on(shell: Shell, background: Background) -> None:
    process = background.start("trigger", "clients", "--wait")
    sync_id = wait_for_run(shell, "dispatched_at IS NULL")
    stderr = process.stderr
    assert stderr is not None
    lines = iter(stderr.readline, "")
    assert any("waits for a worker" in line for line in lines)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (130, "")
    assert f"the run goes on: syncapp run {sync_id} --wait" in err
    assert shell.json("sync", "clients")["sync_id"] == sync_id


def test_postgresql_may_be_away_for_a_moment(shell: Shell, background: Background, postgres: PostgresServer) -> None:
    shell.upstream.fail("delay", page=3, seconds=1.0)
    process = background.start("sync", "clients", "--json", LEASE_SECONDS="5")
    wait_for_run(shell, "records_processed = 20")
    postgres.restart()
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert orjson.loads(out)["records_created"] == 30
