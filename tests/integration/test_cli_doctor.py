"""`syncapp doctor` names what is wrong, and how to mend it."""

from __future__ import annotations

from typing import Any

import pytest

from config.celery import QUEUES
from syncapp.cli import checks
from syncapp.demo.cupid import API_KEY as CUPID_KEY
from syncapp.demo.cupid import cupid_server
from tests.integration.cli import Shell

SERVED = "INSERT INTO processes (name, kind, queues) VALUES ('w@here', 'worker', '{sync,default,mailers}')"
TICKING = "INSERT INTO processes (name, kind) VALUES ('beat@here', 'scheduler')"


@pytest.fixture
def well(shell: Shell, redis_url: str) -> Shell:
    """A system with which nothing is wrong."""
    shell.environment |= {"REDIS_URL": redis_url, "SYNCAPP_ADMIN_TOKEN": "an-admin-token-of-the-tests"}
    shell.execute(SERVED)
    shell.execute(TICKING)
    shell("sync", "clients")
    shell("sync", "appointments")
    return shell


def look(shell: Shell, code: int = 1, **environment: str | None) -> dict[str, dict[str, Any]]:
    found = shell.json("doctor", code=code, **environment)
    assert found["ok"] is (code == 0)
    return {check["name"]: check for check in found["checks"]}


def test_the_queues_are_those_of_the_workers() -> None:
    assert checks.QUEUES == QUEUES


def test_nothing_is_wrong(well: Shell) -> None:
    found = look(well, code=0)
    assert [name for name, check in found.items() if check["state"] != "ok"] == []
    assert set(found) == {
        "environment",
        "PostgreSQL",
        "migrations",
        "Redis",
        "queue sync",
        "queue default",
        "queue mailers",
        "scheduler",
        "admin token",
        "credentials",
        "clients: runs",
        "appointments: runs",
        "clients: upstream",
        "appointments: upstream",
        "properties: upstream",
    }
    assert found["properties: upstream"]["found"] == "not configured: CUPID_API_KEY unset"
    printed = well("doctor")
    assert printed.out.endswith("\nNothing is wrong\n")
    assert printed.err == ""


def test_what_is_wrong_is_shown_with_what_mends_it(well: Shell) -> None:
    well.execute("DELETE FROM processes")
    printed = well("doctor", code=1)
    assert printed.out.endswith("\n4 of 15 are wrong\n")
    found = look(well)
    assert found["queue mailers"]["state"] == "failed"
    assert "make up" in found["queue mailers"]["mend"]
    assert "beat" in found["scheduler"]["mend"]


def test_a_worker_that_is_gone_is_no_worker(well: Shell) -> None:
    well.execute("UPDATE processes SET seen_at = now() - interval '1 minute' WHERE kind = 'worker'")
    found = look(well)
    assert [name for name, check in found.items() if check["state"] == "failed"] == [
        "queue sync",
        "queue default",
        "queue mailers",
    ]


def test_a_wrong_variable_is_all_there_is_to_say(well: Shell) -> None:
    found = look(well, WORKER_CONCURRENCY="many", PORT="none")
    assert list(found) == ["environment"]
    assert "WORKER_CONCURRENCY" in found["environment"]["found"]
    assert "PORT" in found["environment"]["found"]


def test_without_a_database_the_rest_is_looked_at(well: Shell, tmp_path: Any) -> None:
    found = look(well, DATABASE_URL=None, SYNCAPP_HOME=str(tmp_path))
    assert found["environment"]["state"] == "failed"
    assert "DATABASE_URL is missing" in found["environment"]["found"]
    assert found["Redis"]["state"] == found["clients: upstream"]["state"] == "ok"


def test_a_database_that_is_down(well: Shell) -> None:
    found = look(well, DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/none")
    assert found["PostgreSQL"]["state"] == "failed"
    assert "refused" in found["PostgreSQL"]["found"]
    assert "DATABASE_URL" in found["PostgreSQL"]["mend"]
    assert "secret" not in str(found)
    assert "migrations" not in found


def test_redis_that_is_down_or_missing(well: Shell) -> None:
    assert "refused" in look(well, REDIS_URL="redis://:secret@127.0.0.1:1/0")["Redis"]["found"]
    assert "REDIS_URL is missing" in look(well, REDIS_URL=None)["Redis"]["found"]


def test_a_database_of_another_version(well: Shell) -> None:
    well.execute("UPDATE alembic_version SET version_num = 'older'")
    found = look(well)
    assert found["migrations"]["mend"] == "syncapp db upgrade"
    assert "scheduler" not in found


def test_an_upstream_that_refuses_the_key_or_is_gone(well: Shell) -> None:
    refused = look(well, MOCK_API_KEY="wrong")
    assert refused["clients: upstream"]["state"] == "failed"
    assert "401" in refused["clients: upstream"]["found"]
    well.upstream.stop()
    gone = look(well)
    assert gone["clients: upstream"]["state"] == gone["appointments: upstream"]["state"] == "failed"
    assert "address" in gone["clients: upstream"]["mend"]


def test_no_sync_at_all(well: Shell) -> None:
    found = look(well, MOCK_API_URL=None)
    assert found["clients: upstream"]["state"] == "failed"
    assert found["clients: upstream"]["found"] == "not configured: MOCK_API_URL unset"
    assert found["clients: upstream"]["mend"] == "set MOCK_API_URL to sync it"
    assert "clients: runs" not in found


def test_runs_that_fail(well: Shell) -> None:
    for _ in range(2):
        well("sync", "clients", code=1, MOCK_API_KEY="wrong")
    ill = look(well)["clients: runs"]
    assert ill["state"] == "failed"
    assert "degraded" in ill["found"]
    assert "401" in ill["found"]
    assert ill["mend"] == "syncapp runs --sync clients shows them"


def test_what_can_wait_is_no_fault(well: Shell) -> None:
    well("schedules", "set", "clients", "--disable")
    found = look(well, code=0, SYNCAPP_ADMIN_TOKEN=None, SYNCAPP_HOME="/nowhere")
    assert found["clients: runs"]["mend"] == "syncapp schedules set clients --enable"
    assert found["admin token"]["state"] == "warning"
    printed = well("doctor", SYNCAPP_ADMIN_TOKEN=None, SYNCAPP_HOME="/nowhere")
    assert printed.out.endswith("Nothing is wrong, 2 to look at when there is time\n")


def test_cupid_is_asked_for_one_property(well: Shell) -> None:
    with cupid_server(2) as upstream:
        first = upstream.records["properties"][0]["hotel_id"]
        variables = {"CUPID_API_URL": f"{upstream.url}/v3.0", "CUPID_PROPERTY_IDS": str(first)}
        assert look(well, code=0, CUPID_API_KEY=CUPID_KEY, **variables)["properties: upstream"]["found"].endswith(" ms")
        unknown = variables | {"CUPID_PROPERTY_IDS": "99"}
        assert look(well, code=0, CUPID_API_KEY=CUPID_KEY, **unknown)["properties: upstream"]["state"] == "ok"
        refused = look(well, CUPID_API_KEY="another-key", **variables)["properties: upstream"]
        assert (refused["state"], "401" in refused["found"]) == ("failed", True)
        assert [request.path for request in upstream.requests] == [
            f"/v3.0/property/{one}" for one in (first, 99, first)
        ]
