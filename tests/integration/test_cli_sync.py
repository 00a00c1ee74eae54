"""`syncapp sync`: a run in this process, to its end, whatever comes between."""

from __future__ import annotations

import pytest

from tests.integration.cli import Shell, one_line
from tests.integration.engine import client


def test_what_it_did_is_one_line(shell: Shell) -> None:
    printed = shell("sync", "clients")
    assert printed.out == "clients: completed: 30 created, 0 updated, 0 unchanged, 0 deleted, 0 failed\n"
    assert printed.err == ""
    assert len(shell.names()) == 30


def test_json_is_the_run_as_the_api_shows_it(shell: Shell) -> None:
    run = shell.json("sync", "clients")
    assert (run["status"], run["trigger"], run["source"], run["mode"]) == ("completed", "manual", "live", "default")
    assert run["records_created"] == run["records_processed"] == 30
    assert run["error"] is None
    assert run["completed_at"].endswith("Z")
    assert len(run["completed_at"]) == len("2025-06-30T12:00:00.000Z")


def test_json_may_stand_before_the_command(shell: Shell) -> None:
    assert shell("--json", "sync", "clients").document["status"] == "completed"


def test_full_refresh_and_since_decide_what_is_read(shell: Shell) -> None:
    shell("sync", "clients")
    shell.upstream.records["clients"][4]["updated_at"] = "2025-07-01T00:00:00Z"
    assert shell.json("sync", "clients", "--since", "2025-06-30T18:00:00Z")["records_processed"] == 1
    assert shell.json("sync", "clients", "--full-refresh")["records_processed"] == 30


def test_a_dry_run_shows_the_differences_and_changes_nothing(shell: Shell) -> None:
    shell("sync", "clients")
    records = shell.upstream.records["clients"]
    records[0] |= {"name": "Anna", "updated_at": "2025-07-01T00:00:00Z"}
    records[1:] = [*records[2:], client(31)]
    before = shell.names()

    printed = shell("sync", "clients", "--dry-run", "--full-refresh")
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert "updated clients 1 name: Client 1 -> Anna" in lines[1]
    assert any(line.startswith("created clients 31 name: Client 31, email: client31@example.com") for line in lines)
    assert any(line.startswith("deleted clients 2 name: Client 2") for line in lines)
    assert lines[-1].startswith("dry run, nothing was changed: clients: completed: 1 created, 1 updated")

    run = shell.json("sync", "clients", "--dry-run", "--full-refresh")
    assert run["changes"]["total"] == 3
    [updated] = [change for change in run["changes"]["items"] if change["operation"] == "updated"]
    assert (updated["before"]["name"], updated["after"]["name"]) == ("Client 1", "Anna")
    assert shell.names() == before


def test_a_dry_run_shows_as_many_differences_as_asked_for(shell: Shell) -> None:
    printed = shell("sync", "clients", "--dry-run", "--limit", "2")
    assert printed.out.count("created  clients") == 2
    assert "The first 2 of 30: syncapp run sync_default_" in printed.err


def test_a_failed_run_says_why_and_how_to_go_on(shell: Shell) -> None:
    shell.upstream.fail("status", page=2, status=503)
    line = one_line(shell("sync", "clients", code=1, WORKER_MAX_RETRIES="0").err)
    assert line.startswith("Error: clients: failed: ")
    assert "503" in line
    assert "syncapp retry sync_default_" in line


def test_a_key_that_is_refused_is_what_to_mend(shell: Shell) -> None:
    line = one_line(shell("sync", "clients", code=1, MOCK_API_KEY="wrong").err)
    assert "401" in line
    assert "correct the key" in line
    assert "syncapp retry" not in line


def test_a_failed_run_is_json_too(shell: Shell) -> None:
    run = shell.json("sync", "clients", code=1, MOCK_API_KEY="wrong")
    assert run["status"] == "failed"
    assert run["error"]["error_type"] == "api_connection_failed"


def test_bad_records_fail_no_run_and_are_pointed_at(shell: Shell) -> None:
    shell.upstream.records["clients"][3] = {"id": 4, "name": ["no", "name"]}
    printed = shell("sync", "clients")
    assert printed.out.endswith("29 created, 0 updated, 0 unchanged, 0 deleted, 1 failed\n")
    assert "syncapp errors sync_default_" in printed.err


def test_a_mass_delete_is_refused_until_it_is_allowed(shell: Shell) -> None:
    shell("sync", "clients")
    shell.upstream.records["clients"][2:] = []
    line = one_line(shell("sync", "clients", "--full-refresh", code=1).err)
    assert "--full-refresh --allow-mass-delete" in line
    assert "syncapp retry" not in line
    assert len(shell.names()) == 30
    assert shell.json("sync", "clients", "--full-refresh", "--allow-mass-delete")["records_deleted"] == 28


def test_generated_records_are_called_so(shell: Shell) -> None:
    shell.upstream.stop()
    printed = shell("sync", "clients", MOCK_FALLBACK="true")
    assert "completed from GENERATED records" in printed.out
    assert shell.json("runs")["items"][0]["source"] == "mock"


def test_a_source_that_names_a_time_is_waited_for(shell: Shell) -> None:
    shell.upstream.fail("status", page=2, status=429, times=1, headers={"Retry-After": "1"})
    printed = shell("sync", "clients")
    assert printed.out.startswith("clients: completed: 30 created")
    assert "clients: waits until " in printed.err
    assert "Ctrl-C is safe meanwhile" in printed.err


def test_a_failure_that_may_pass_is_tried_again(shell: Shell) -> None:
    shell.upstream.fail("status", page=2, status=503, times=1)
    run = shell.json("sync", "clients", WORKER_RETRY_INTERVAL="0.2")
    assert (run["status"], run["attempt"], run["records_created"]) == ("completed", 2, 30)


def test_a_run_that_somebody_works_on_is_left_alone(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    shell.execute(
        "UPDATE sync_runs SET status = 'running', lease_owner = 'worker@elsewhere', lease_token = 1, "
        "lease_expires_at = now() + interval '1 hour' WHERE sync_id = %s",
        sync_id,
    )
    line = one_line(shell("sync", "clients", code=1).err)
    assert f"worker@elsewhere works on it: `syncapp run {sync_id} --wait` follows it" in line
    answer = shell.json("sync", "clients", code=1)
    assert answer["success"] is False
    assert answer["details"]["error_type"] == "conflict"
    assert answer["details"]["sync_id"] == sync_id


def test_a_run_that_nobody_works_on_is_gone_on_with(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    printed = shell("sync", "clients", "--json")
    assert printed.document["sync_id"] == sync_id
    assert printed.document["status"] == "completed"
    assert printed.err == f"Going on with {sync_id}, which nobody works on\n"


def test_a_run_in_flight_that_was_asked_for_something_else_is_named(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    line = one_line(shell("sync", "clients", "--full-refresh", code=1).err)
    assert f"`syncapp cancel {sync_id}` stops it" in line


def test_a_run_whose_attempts_are_used_up_is_in_nobodys_way(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    shell.execute("UPDATE sync_runs SET status = 'running', attempt = 4 WHERE sync_id = %s", sync_id)
    assert shell.json("sync", "clients")["sync_id"] != sync_id
    assert shell.json("run", sync_id)["error"]["error_type"] == "stale"


def test_a_disabled_sync_runs_by_force_alone(shell: Shell) -> None:
    shell("schedules", "set", "clients", "--disable")
    line = one_line(shell("sync", "clients", code=1).err)
    assert "--force runs it once, `syncapp schedules set clients --enable` switches it on" in line
    assert shell.json("sync", "clients", "--force")["trigger"] == "force"


def test_an_open_circuit_is_asked_by_force_alone(shell: Shell) -> None:
    shell.execute(
        "INSERT INTO circuits (sync, organization_id, failures, open_until) "
        "VALUES ('clients', 'default', 5, now() + interval '1 hour')"
    )
    details = shell.json("sync", "clients", code=1)["details"]
    assert details["error_type"] == "circuit_open"
    assert 3_500 < details["retry_after"] <= 3_600
    assert shell.json("sync", "clients", "--force")["status"] == "completed"


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (("nope",), {}, "There is no sync nope; there are clients, appointments"),
        (("clients", "--mode", "other"), {}, "mode: Must be one of: default."),
        (("clients", "--organization", "nobody"), {}, "There is no organization nobody"),
        (("clients",), {"MOCK_API_URL": None}, "not configured: set MOCK_API_URL"),
        (("clients",), {"DATABASE_URL": "mysql://here"}, "DATABASE_URL: must be a postgresql:// address"),
    ],
)
@pytest.mark.parametrize("command", ["sync", "trigger"])
def test_what_cannot_be_done_is_said(
    shell: Shell, command: str, words: tuple[str, ...], variables: dict[str, str | None], said: str
) -> None:
    printed = shell(command, *words, code=1, **variables)
    assert said in printed.err
    assert printed.out == ""
    assert said in shell.json(command, *words, code=1, **variables)["details"]["message"]
    assert shell.rows("SELECT 1 FROM sync_runs") == []


def test_a_time_that_is_none_is_refused_before_anything_starts(shell: Shell) -> None:
    assert "is neither a time such as" in shell("sync", "clients", "--since", "yesterday", code=2).err


def test_an_organization_syncs_for_itself(shell: Shell) -> None:
    shell("orgs", "create", "Acme", "--id", "acme")
    run = shell.json("sync", "clients", "--organization", "acme")
    assert (run["organization_id"], run["records_created"]) == ("acme", 30)
    assert shell.json("runs")["total"] == 0
    assert shell.json("runs", "--organization", "acme")["total"] == 1
