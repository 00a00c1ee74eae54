"""Triggering, looking at runs, and steering them from the command line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC

import pytest

from config.settings import Settings
from syncapp.sweep import sweep
from syncapp.testing import RecordingDispatcher
from tests.integration.cli import Shell, one_line
from tests.integration.engine import client


@dataclass
class Carrier(RecordingDispatcher):
    """A broker whose queues hold messages, so that only runs that nobody has sent yet are due."""

    held: int = 1_000

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int]:
        return dict.fromkeys(queues, self.held)


def test_a_trigger_commits_and_leaves_the_sending_to_the_sweep(shell: Shell) -> None:
    printed = shell("trigger", "clients")
    [run] = shell.rows("SELECT sync_id, status FROM sync_runs")
    assert printed.out == f"Clients sync started: {run['sync_id']}\n"
    assert printed.err.startswith("No worker drains the queue sync: the run waits for one.")
    assert run["status"] == "starting"
    carrier = Carrier()
    assert sweep(shell.database, Settings(), carrier) == 1
    assert carrier.sent == [(run["sync_id"], "sync")]


def test_a_trigger_in_json_is_the_apis_answer(shell: Shell) -> None:
    answer = shell.json("trigger", "clients")
    assert answer.keys() == {"message", "sync_started", "sync_id", "organization_id", "timestamp", "sync"}
    assert answer["sync_started"] is True


def test_a_second_trigger_starts_nothing(shell: Shell) -> None:
    first, second = shell.json("trigger", "clients"), shell.json("trigger", "clients")
    assert second["sync_started"] is False
    assert second["sync_id"] == first["sync_id"]
    assert "already in flight" in shell("trigger", "clients").out


def test_a_live_worker_is_not_asked_for(shell: Shell) -> None:
    shell.execute("INSERT INTO processes (name, kind, queues) VALUES ('worker@here', 'worker', '{sync}')")
    assert shell("trigger", "clients").err == ""


def test_a_trigger_that_waits_shows_how_the_run_ended(shell: Shell) -> None:
    with shell.worker():
        run = shell.json("trigger", "clients", "--wait")
        assert (run["status"], run["records_created"]) == ("completed", 30)
        assert shell("trigger", "clients", "--wait").out.startswith("clients: completed: 0 created")
        shell.upstream.records["clients"][2:] = []
        failed = shell("trigger", "clients", "--wait", "--full-refresh", code=1)
        assert "more than is believed" in failed.err
        assert failed.out == ""


def test_a_triggered_dry_run_shows_its_differences(shell: Shell) -> None:
    with shell.worker():
        run = shell.json("trigger", "clients", "--dry-run", "--wait", "--limit", "3")
    assert (len(run["changes"]["items"]), run["changes"]["total"]) == (3, 30)
    again = shell.json("run", run["sync_id"], "--changes", "--limit", "30")
    assert len(again["changes"]["items"]) == 30
    shown = shell("run", run["sync_id"], "--changes")
    assert shown.out.count("created  clients") == 30


def test_runs_are_listed_newest_first_and_paged(shell: Shell) -> None:
    assert shell("runs").out == "There is no such run yet.\n"
    ids = [shell.json("sync", "clients")["sync_id"] for _ in range(3)]
    page = shell.json("runs", "--limit", "2")
    assert [run["sync_id"] for run in page["items"]] == [ids[2], ids[1]]
    assert page["total"] == 3
    rest = shell.json("runs", "--limit", "2", "--cursor", page["next_cursor"])
    assert [run["sync_id"] for run in rest["items"]] == [ids[0]]

    printed = shell("runs", "--limit", "2")
    lines = printed.out.splitlines()
    assert lines[0].split()[:4] == ["RUN", "SYNC", "STATUS", "STARTED"]
    assert lines[1].split()[:3] == [ids[2], "clients", "completed"]
    assert f"--cursor {page['next_cursor']}" in printed.err


def test_runs_are_filtered(shell: Shell) -> None:
    shell("sync", "clients")
    shell("sync", "appointments")
    shell("sync", "clients", "--force")
    assert shell.json("runs", "--sync", "clients")["total"] == 2
    assert shell.json("runs", "--trigger", "force")["total"] == 1
    assert shell.json("runs", "--status", "failed")["total"] == 0
    assert shell.json("runs", "--since", "1h")["total"] == 3
    assert shell.json("runs", "--since", "2100-01-01")["total"] == 0
    assert "nobody" in one_line(shell("runs", "--organization", "nobody", code=1).err)
    assert "cursor" in one_line(shell("runs", "--cursor", "bad", code=1).err)


def test_one_run_in_full(shell: Shell) -> None:
    sync_id = shell.json("sync", "clients", code=1, MOCK_API_KEY="wrong")["sync_id"]
    printed = shell("run", sync_id)
    shown = dict(line.split(maxsplit=1) for line in printed.out.splitlines() if not line.startswith(("step", "waits")))
    assert shown["run"].strip() == sync_id
    assert shown["status"].strip() == "failed"
    assert shown["error"].startswith("api_connection_failed (")
    assert shell.json("run", sync_id)["sync_id"] == sync_id


def test_a_run_that_waits_says_until_when(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    shell.execute("UPDATE sync_runs SET status = 'running', resume_at = now() + interval '1 hour'")
    [row] = shell.rows("SELECT resume_at FROM sync_runs")
    expected = f"running, waits until {row['resume_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    assert expected in shell("runs").out
    assert expected in shell("run", sync_id).out
    assert shell.json("run", sync_id)["status"] == "running"


def test_a_run_can_be_followed_to_its_end(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    with shell.worker():
        assert shell.json("run", sync_id, "--wait")["status"] == "completed"


def test_cancel(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    answer = shell.json("cancel", sync_id)
    assert (answer["status"], answer["message"]) == ("cancelled", "The run was cancelled")
    assert one_line(shell("cancel", sync_id, code=1).err) == f"Error: The run has ended: cancelled ({sync_id})"


def test_a_cancelled_run_that_is_followed_is_no_success(shell: Shell) -> None:
    sync_id = shell.json("trigger", "clients")["sync_id"]
    shell("cancel", sync_id)
    assert shell.json("run", sync_id, "--wait", code=1)["status"] == "cancelled"
    assert shell.json("run", sync_id)["status"] == "cancelled"


def test_retry_goes_on_from_the_checkpoint(shell: Shell) -> None:
    shell.upstream.fail("status", page=3, status=404, times=1)
    failed = shell.json("sync", "clients", code=1)
    assert failed["records_created"] == 20
    answer = shell.json("retry", failed["sync_id"])
    assert answer["sync_started"] is True
    assert shell.json("sync", "clients")["sync_id"] == answer["sync_id"]
    assert len(shell.names()) == 30
    assert one_line(shell("retry", answer["sync_id"], code=1).err).startswith("Error: Only a failed or cancelled run")


def test_a_retry_can_be_waited_for(shell: Shell) -> None:
    failed = shell.json("sync", "clients", code=1, MOCK_API_KEY="wrong")
    with shell.worker():
        assert shell("retry", failed["sync_id"], "--wait").out.startswith("clients: completed: 30 created")


def test_errors_and_their_replay(shell: Shell) -> None:
    broken = {"id": 4, "name": ["no", "name"], "note": "\x1b[31mred"}
    shell.upstream.records["clients"][3] = broken
    sync_id = shell.json("sync", "clients")["sync_id"]
    [error] = shell.json("errors", sync_id)["items"]
    assert error["external_id"] == "4"
    assert error["record"]["name"] == ["no", "name"]
    assert error["error_type"] == "invalid_data_format"
    shown = shell("errors", sync_id)
    assert error["message"] in shown.out
    assert "\x1b" not in shown.out
    with shell.worker():
        replay = shell.json("replay", sync_id, "--wait")
    assert (replay["trigger"], replay["records_failed"]) == ("retry", 1)


def test_retry_and_replay_say_what_they_started_and_start_it_once(shell: Shell) -> None:
    shell.upstream.records["clients"][3] = {"id": 4, "name": []}
    sync_id = shell.json("sync", "clients")["sync_id"]
    assert shell("replay", sync_id).out.startswith(f"Replay of 1 failed record of {sync_id} started: sync_")
    again = shell.json("replay", sync_id)
    assert again["sync_started"] is False
    shell("cancel", again["sync_id"])
    assert shell("retry", again["sync_id"]).out.startswith(f"Retry of {again['sync_id']} started: sync_")
    assert "already in flight" in shell("retry", again["sync_id"]).out


def test_what_was_stored_altered_is_marked_and_not_replayed(shell: Shell) -> None:
    shell.upstream.records["clients"][3] = client(4, name="NUL \x00")
    sync_id = shell.json("sync", "clients")["sync_id"]
    assert shell.json("errors", sync_id)["items"][0]["replayable"] is False
    assert "a full refresh reads it again" in shell("errors", sync_id).err
    line = one_line(shell("replay", sync_id, code=1).err)
    assert "1 failed record could only be stored altered" in line


def test_a_run_without_errors_has_nothing_to_show_or_to_replay(shell: Shell) -> None:
    sync_id = shell.json("sync", "clients")["sync_id"]
    assert shell("errors", sync_id).out == "No record failed.\n"
    assert shell.json("errors", sync_id) == {"items": [], "total": 0}
    assert one_line(shell("replay", sync_id, code=1).err) == "Error: The run has no failed records to replay"


@pytest.mark.parametrize("command", ["run", "cancel", "retry", "errors", "replay"])
def test_an_unknown_run_is_said(shell: Shell, command: str) -> None:
    assert one_line(shell(command, "sync_of_nobody", code=1).err) == "Error: There is no run sync_of_nobody"
    details = shell.json(command, "sync_of_nobody", code=1)["details"]
    assert (details["error_type"], details["error_code"]) == ("not_found", "NOT_FOUND")
