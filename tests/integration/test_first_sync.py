"""What `syncapp up` says of the first sync: it never waits for a run that does not go on by now."""

from __future__ import annotations

from typing import Any

from syncapp.cli.first_sync import Api, FirstSync, row_counts
from syncapp.queries import count_rows
from syncapp.scope import Scope
from tests.integration.cli import Shell
from tests.waiting import wait_for

DEFAULT = Scope("default")


class Started(Api):
    """An API that has just started these runs."""

    def __init__(self, **runs: str | None) -> None:
        super().__init__("", "")
        self.runs = runs

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        assert (method, path) == ("POST", "/api/v1/sync/all")
        refused = {"sync_id": None, "error": {"message": "The sync is disabled"}}
        return {"syncs": {name: {"sync_id": one} if one else refused for name, one in self.runs.items()}}


def begin(shell: Shell, **runs: str | None) -> tuple[FirstSync, list[str]]:
    said: list[str] = []
    return FirstSync(Started(**runs), shell.database, said.append, {}), said


def test_a_run_that_failed_says_why_and_one_that_waits_counts_as_over(shell: Shell) -> None:
    failed = shell.json("sync", "clients", code=1, MOCK_API_KEY="wrong")["sync_id"]
    waits = shell.json("trigger", "appointments")["sync_id"]
    shell.execute(
        "UPDATE sync_runs SET status = 'running', resume_at = now() + interval '1 hour', "
        "current_operation = 'no connection\n(refused)' WHERE sync_id = %s",
        waits,
    )
    [row] = shell.rows(
        "SELECT to_char(resume_at AT TIME ZONE 'UTC', 'HH24:MI:SS') AS until FROM sync_runs WHERE sync_id = %s", waits
    )
    first, said = begin(shell, clients=failed, appointments=waits)
    assert first.is_over()
    assert said[0].startswith("clients: failed: ")
    assert "401" in said[0]
    assert said[1] == f"appointments: waits until {row['until']}Z: no connection (refused); it goes on by itself"


def test_a_run_that_goes_on_is_followed_to_its_end(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    shell.execute("UPDATE sync_runs SET records_processed = 1200 WHERE sync_id = %s", sync_id)
    first, said = begin(shell, clients=sync_id)
    assert not first.is_over()
    assert (said, first.unfinished) == (["clients: 1,200 records so far"], ["clients"])
    with shell.worker():
        wait_for(first.is_over)
    assert said[-1].startswith("clients: completed: 30 created")


def test_what_is_no_data_is_counted_apart(shell: Shell) -> None:
    shell("sync", "clients")
    assert row_counts("clients", count_rows(shell.database, DEFAULT)["clients"]) == "30 clients"
    for number in range(5):
        shell.execute(
            "INSERT INTO clients (organization_id, external_id, sync_status, is_mock) VALUES ('default', %s, %s, %s)",
            f"more-{number}",
            "pending" if number < 2 else "synced",
            number >= 2,
        )
    found = row_counts("clients", count_rows(shell.database, DEFAULT)["clients"])
    assert found == "30 clients (+2 only referred to, +3 generated)"


def test_one_that_was_refused_says_why_and_is_not_waited_for(shell: Shell) -> None:
    sync_id = shell.json("trigger", "appointments")["sync_id"]
    first, said = begin(shell, clients=None, appointments=sync_id)
    assert not first.is_over()
    assert (said, first.unfinished) == (["clients: The sync is disabled"], ["appointments"])
