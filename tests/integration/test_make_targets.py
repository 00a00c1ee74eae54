"""The make targets that ask a running API, as their users call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from syncapp.embedded.home import Home
from syncapp.embedded.running import record
from tests.integration.api import ADMIN, Api, open_api

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0
WORDS = ("SYNCAPP_", "API_URL", "PYTHON")


def make(target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith((*WORDS, "MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--silent", target, f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env=bare | variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@dataclass
class Running:
    """An API that listens, and the data folder of the `make up` that it is taken for."""

    api: Api
    url: str
    home: Path

    def make(self, target: str, **variables: str) -> Any:
        """What is printed where all is well."""
        ended = make(target, SYNCAPP_HOME=str(self.home), **variables)
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        assert ended.stdout.startswith('{\n  "success": true,')
        return json.loads(ended.stdout)["data"]

    def refused(self, target: str, **variables: str) -> str:
        ended = make(target, **{"SYNCAPP_HOME": str(self.home)} | variables)
        assert (ended.returncode != 0, ended.stdout) == (True, "")
        line = ended.stderr.splitlines()[0]
        assert line.startswith("Error: ")
        return line


@pytest.fixture
def running(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Running]:
    home = Home(tmp_path / "home")
    lock = home.lock()
    assert lock is not None
    with open_api(database_url, redis_url, cupid_api_key="key") as api:
        server = make_server("127.0.0.1", 0, api.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        record(home, {"PORT": str(server.port)})
        home.write("admin-token", ADMIN)
        try:
            yield Running(api, f"http://127.0.0.1:{server.port}", home.path)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            os.close(lock)


@pytest.mark.slow
def test_every_target_asks_its_route(running: Running) -> None:
    assert running.make("sync-start")["sync_interval"] == "12h"
    assert running.make("sync-start-24h")["sync_interval"] == "24h"
    sync_id = running.make("sync-now")["sync_id"]
    assert running.make("sync-status")["sync_id"] == sync_id
    stopped = running.make("sync-stop")
    assert (stopped["is_running"], stopped["next_sync"]) == (False, None)
    [entry] = running.make("sync-logs")["items"]
    assert (entry["sync_id"], entry["status"]) == (sync_id, "cancelled")
    settings = {one["setting_key"]: one["setting_value"] for one in running.make("sync-settings")}
    assert (settings["sync_interval"], settings["enable_auto"]) == ("24h", "false")
    assert running.make("sync-health")["status"] == "stopped"


@pytest.mark.slow
def test_what_the_api_refuses_is_said(running: Running) -> None:
    running.make("sync-stop")
    assert "The sync properties is disabled" in running.refused("sync-now")
    assert "The token is unknown" in running.refused("sync-status", SYNCAPP_ADMIN_TOKEN="another")
    assert ADMIN not in running.refused("sync-status", SYNCAPP_ADMIN_TOKEN="ü")


@pytest.mark.slow
def test_an_api_elsewhere_is_named_with_its_token(running: Running, tmp_path: Path) -> None:
    elsewhere = {"SYNCAPP_HOME": str(tmp_path / "none"), "API_URL": running.url}
    said = running.refused("sync-status", API_URL=running.url)
    assert "set SYNCAPP_ADMIN_TOKEN too" in said  # the data folder's is for its own API alone
    ended = make("sync-status", **elsewhere, SYNCAPP_ADMIN_TOKEN=ADMIN)
    assert (ended.returncode, json.loads(ended.stdout)["success"]) == (0, True)
    assert "must be an http:// or https:// address" in running.refused(
        "sync-status", API_URL="file:///etc/passwd", SYNCAPP_ADMIN_TOKEN="x"
    )


@pytest.mark.slow
def test_where_nothing_runs_it_is_said(tmp_path: Path) -> None:
    ended = make("sync-status", SYNCAPP_HOME=str(tmp_path))
    assert ended.returncode != 0
    assert f"no `make up` runs on {tmp_path}" in ended.stderr
    descriptor = Home(tmp_path).lock()
    assert descriptor is not None
    assert "is not that far yet" in make("sync-status", SYNCAPP_HOME=str(tmp_path)).stderr
    record(Home(tmp_path), {"PORT": "9"})
    Home(tmp_path).write("admin-token", "x")
    assert "http://127.0.0.1:9 does not answer" in make("sync-status", SYNCAPP_HOME=str(tmp_path)).stderr
    os.close(descriptor)
