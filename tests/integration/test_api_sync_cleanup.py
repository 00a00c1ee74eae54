"""POST /api/v1/sync/cleanup: what lost its worker goes on or ends; what is alive or waits is not touched."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from syncapp.demo.cliniko_records import make_records
from syncapp.engine import execute
from syncapp.sweep import sweep
from syncapp.testing import RecordingDispatcher
from tests.integration.api import TIME, Api, check_error
from tests.integration.cliniko import Practice

LOST = "lease_owner = 'dead', lease_token = 1, lease_expires_at = now() - interval '1 second', attempt = {}"
LOST_ONCE, USED_UP = LOST.format(1), LOST.format(4)
LONG_AGO = "created_at = now() - interval '90 days', started_at = now() - interval '90 days', dispatched_at = now()"


class Carrier(RecordingDispatcher):
    """A broker in whose queues there is always something else."""

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int] | None:
        return dict.fromkeys(queues, 1_000) if self.reachable else None


def add(api: Api, sync_id: str, state: str, status: str = "running", **values: Any) -> str:
    """A dry run, of which there may be many, whose columns `state` sets."""
    api.add_run(sync_id, status=status, sync="cliniko", dry_run=True, **values)
    api.execute(f"UPDATE sync_runs SET {LONG_AGO}, {state} WHERE sync_id = %s", sync_id)
    return sync_id


def clean_up(api: Api) -> int:
    answer = api.post("/api/v1/sync/cleanup")
    body = answer.get_json()
    assert answer.status_code == 200, body
    assert set(body) == {"message", "cleaned_syncs", "timestamp"}
    assert TIME.fullmatch(body["timestamp"])
    count = body["cleaned_syncs"]
    assert body["message"] == f"Cleaned up {count} stale sync{'' if count == 1 else 's'}"
    return int(count)


def states(api: Api) -> dict[str, dict[str, Any]]:
    return {row["sync_id"]: row for row in api.runs()}


def test_nothing_to_clean_up(api: Api) -> None:
    assert clean_up(api) == 0
    api.add_run("sync_done")
    assert clean_up(api) == 0


def test_members_may_not(api: Api) -> None:
    add(api, "sync_x", LOST_ONCE)
    check_error(api.post("/api/v1/sync/cleanup", token=api.make_token("default")), 403, "forbidden")
    assert states(api)["sync_x"]["lease_owner"] == "dead"


def test_a_lost_run_goes_on(practice: Practice) -> None:
    practice.add("acme", records=make_records(1, patients=120, appointments=0))
    sync_id = practice.start("acme", "patients-only")
    practice.api.execute(f"UPDATE sync_runs SET status = 'running', {LONG_AGO}, {LOST_ONCE}")
    practice.api.dispatcher.sent.clear()
    assert clean_up(practice.api) == 1
    assert practice.api.dispatcher.sent == [(sync_id, "sync")]
    run = practice.run(sync_id)
    assert (run["status"], run["attempt"], run["error_type"]) == ("running", 1, None)
    assert clean_up(practice.api) == 0
    assert execute(sync_id, practice.runtime) == "completed"
    assert practice.run(sync_id)["attempt"] == 2


def test_used_up_attempts_end_as_stale(api: Api) -> None:
    add(api, "sync_x", USED_UP)
    add(api, "sync_y", "attempt = 4")
    assert clean_up(api) == 2
    for run in states(api).values():
        assert (run["status"], run["error_type"], run["error_code"]) == ("failed", "stale", "ATTEMPTS_USED_UP")
        assert run["completed_at"] is not None
    assert api.dispatcher.sent == []
    shown = api.get("/api/v1/sync/progress/sync_x").get_json()
    assert (shown["status"], shown["current_step"]) == ("failed", "Failed")
    assert [one["error_type"] for one in shown["errors"]] == ["stale"]
    [entry] = api.query("SELECT * FROM audit_log WHERE action = 'runs.cleaned_up'")
    assert (entry["actor"], entry["details"]) == ("environment", {"ended": 2, "resumed": 0})


def test_one_that_was_to_be_cancelled_is(api: Api) -> None:
    add(api, "sync_x", f"{LOST_ONCE}, cancel_requested_at = now()")
    assert clean_up(api) == 1
    assert states(api)["sync_x"]["status"] == "cancelled"
    assert api.dispatcher.sent == []


HELD = "lease_owner = 'alive', lease_token = 1, lease_expires_at = now() + interval '20 seconds', attempt = "


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("running", f"{HELD} 1"),
        ("running", f"{HELD} 4"),
        ("running", f"{HELD} 1, cancel_requested_at = now()"),
        ("running", "resume_at = now() + interval '1 day', attempt = 1"),
        ("running", "resume_at = now() + interval '1 day', attempt = 4"),
        ("running", "attempt = 1"),
        ("starting", "attempt = 0"),
        ("completed", "completed_at = now()"),
        ("failed", "completed_at = now(), attempt = 4"),
    ],
)
def test_what_is_alive_or_waits_or_has_ended_is_not_touched(api: Api, status: str, state: str) -> None:
    add(api, "sync_x", state, status)
    before = states(api)
    assert clean_up(api) == 0
    assert states(api) == before
    assert api.dispatcher.sent == []


def test_each_by_what_it_is(api: Api) -> None:
    """Of every organization."""
    api.add_organization("acme")
    add(api, "sync_lost", LOST_ONCE)
    add(api, "sync_lost_too", LOST_ONCE, organization_id="acme")
    add(api, "sync_stale", USED_UP, organization_id="acme")
    add(api, "sync_alive", f"{HELD} 2")
    assert clean_up(api) == 3
    assert sorted(sent for sent, _ in api.dispatcher.sent) == ["sync_lost", "sync_lost_too"]
    found = {sync_id: run["status"] for sync_id, run in states(api).items()}
    assert found == {
        "sync_lost": "running",
        "sync_lost_too": "running",
        "sync_stale": "failed",
        "sync_alive": "running",
    }


def test_while_redis_is_away_the_next_sweep_sends_it(api: Api) -> None:
    add(api, "sync_x", LOST_ONCE)
    api.dispatcher.reachable = False
    assert clean_up(api) == 1
    carrier = Carrier()
    assert sweep(api.database, api.settings, carrier) == 1
    assert [sent for sent, _ in carrier.sent] == ["sync_x"]


def test_what_was_sent_the_next_sweep_leaves_alone(api: Api) -> None:
    add(api, "sync_x", LOST_ONCE)
    assert clean_up(api) == 1
    assert sweep(api.database, api.settings, Carrier()) == 0


def test_a_sync_that_is_no_longer_in_the_code(api: Api) -> None:
    add(api, "sync_x", f"{LOST_ONCE}, sync = 'of-yesterday'")
    assert clean_up(api) == 1
    assert api.dispatcher.sent == [("sync_x", "sync")]
