"""GET /api/v1/sync/progress/{sync_id}: a run watched through its whole life, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncapp.demo.cliniko_account import Account
from syncapp.demo.cliniko_records import make_records
from syncapp.demo.exchange import Request
from syncapp.demo.faults import Records
from syncapp.engine import execute
from syncapp.engine.lease import LeaseLost
from tests.integration.api import TIME, Api, check_error
from tests.integration.cliniko import Practice
from tests.integration.interrupting import before_each, before_page
from tests.waiting import wait_for

PROGRESS = {"sync_id", "organization_id", "status", "progress_percentage", "current_step", "total_steps"}
PROGRESS |= {"completed_steps", "started_at", "estimated_completion", "records_processed", "records_total"}
PROGRESS |= {"current_operation", "errors"}
FIRST = 0.2  # what the patients are of a run, before there was one to tell
ONLY_UP = ("progress_percentage", "completed_steps", "records_processed")


@pytest.fixture(scope="module")
def records() -> Records:
    return make_records(1, patients=230, appointments=250)


@pytest.fixture
def account(practice: Practice, records: Records) -> Account:
    return practice.add("acme", records=records)


def look(api: Api, sync_id: str) -> dict[str, Any]:
    answer = api.again().get(f"/api/v1/sync/progress/{sync_id}")
    found: dict[str, Any] = answer.get_json()
    assert answer.status_code == 200, found
    assert set(found) == PROGRESS
    assert found["sync_id"] == sync_id
    assert 0 <= found["progress_percentage"] <= 100
    assert (found["progress_percentage"] == 100) == (found["status"] == "completed")
    assert found["records_total"] is None or found["records_total"] >= found["records_processed"]
    return found


@dataclass
class Watched:
    """A run that is looked at whenever its source is asked for something."""

    practice: Practice
    sync_id: str
    seen: list[dict[str, Any]] = field(default_factory=list)

    def look(self, *_: object) -> None:
        self.seen.append(look(self.practice.api, self.sync_id))

    def execute(self, **changes: Any) -> str:
        """One attempt, at once where the run waits for a time."""
        self.practice.api.execute("UPDATE sync_runs SET resume_at = NULL WHERE sync_id = %s", self.sync_id)
        with before_each(self.practice.upstream, self.look):
            outcome = execute(self.sync_id, replace(self.practice.runtime, **changes))
        self.look()
        return outcome

    def interrupt(self, path: str, page: int, act: Callable[[], object], **changes: Any) -> str:
        with before_page(self.practice.upstream, path, page, act):
            return self.execute(**changes)

    def only_went_up(self) -> None:
        for name in ONLY_UP:
            values = [one[name] for one in self.seen]
            assert values == sorted(values), name


@pytest.mark.parametrize(("mode", "steps"), [("patients-only", 1), ("basic", 2), ("active", 2), ("comprehensive", 5)])
def test_before_it_begins(practice: Practice, account: Account, mode: str, steps: int) -> None:
    sync_id = practice.start("acme", mode)
    assert look(practice.api, sync_id) == {
        "sync_id": sync_id,
        "organization_id": "acme",
        "status": "starting",
        "progress_percentage": 0.0,
        "current_step": "Waiting for a worker",
        "total_steps": steps,
        "completed_steps": 0,
        "started_at": None,
        "estimated_completion": None,
        "records_processed": 0,
        "records_total": None,
        "current_operation": None,
        "errors": [],
    }


def test_page_by_page(practice: Practice, account: Account, records: Records) -> None:
    patients = sum(one["deleted_at"] is None for one in records["patients"])
    sync_id = practice.start("acme")
    wanted: dict[tuple[str, int], tuple[Any, ...]] = {
        ("patients", 1): (0.0, 0, None, "Patients", "Patients: reading"),
        ("patients", 2): (FIRST * 100 / patients, 100, patients, "Patients", "Patients: 100 records"),
        ("patients", 3): (FIRST * 200 / patients, 200, patients, "Patients", "Patients: 200 records"),
        ("individual_appointments", 1): (FIRST, patients, patients, "Appointments", "Appointments: reading"),
        ("individual_appointments", 2): (
            FIRST + (1 - FIRST) * 100 / 250,
            patients + 100,
            patients + 250,
            "Appointments",
            "Appointments: 100 records",
        ),
        ("individual_appointments", 3): (
            FIRST + (1 - FIRST) * 200 / 250,
            patients + 200,
            patients + 250,
            "Appointments",
            "Appointments: 200 records",
        ),
    }
    estimates = []

    def check(request: Request) -> None:
        key = request.path.removeprefix("/v1/"), request.number("page", 1)
        share, processed, total, step, operation = wanted.pop(key)
        now = datetime.now(UTC)
        found = wait_for(lambda: is_that_far(found := look(practice.api, sync_id), processed, operation) and found)
        assert found["progress_percentage"] == round(share * 100, 1)
        assert (found["records_total"], found["current_step"]) == (total, step)
        assert (found["total_steps"], found["completed_steps"]) == (2, int(share >= FIRST))
        assert (found["status"], found["errors"]) == ("running", [])
        assert TIME.fullmatch(found["started_at"])
        if share == 0:
            assert found["estimated_completion"] is None
        else:
            assert datetime.fromisoformat(found["estimated_completion"]) > now - timedelta(seconds=1)
            estimates.append(found["estimated_completion"])

    with before_each(practice.upstream, check):
        assert execute(sync_id, practice.runtime) == "completed"
    assert wanted == {}
    assert len(estimates) == 5
    found = look(practice.api, sync_id)
    completed = practice.api.get(f"/api/v1/runs/{sync_id}").get_json()["completed_at"]
    assert (found["status"], found["progress_percentage"], found["current_step"]) == ("completed", 100.0, "Completed")
    assert (found["total_steps"], found["completed_steps"]) == (2, 2)
    assert found["records_processed"] == found["records_total"] == patients + 250
    assert (found["current_operation"], found["estimated_completion"]) == (None, completed)


def is_that_far(found: dict[str, Any], processed: int, operation: str) -> bool:
    return bool(found["records_processed"] == processed and found["current_operation"] == operation)


def test_it_only_goes_up_whatever_happens(practice: Practice, account: Account) -> None:
    """An API that fails, one that limits, a worker that is asked to end, one that is lost, and a second look."""
    practice.sync("acme", "comprehensive")
    account.delete("patients", next(iter(practice.rows("patients", "acme"))))
    run = Watched(practice, practice.start("acme", "comprehensive"))
    run.look()
    practice.upstream.fail("status", path="/v1/patients", page=2, status=503, times=1)
    practice.upstream.fail("status", path="/v1/patients", page=3, status=429, headers={"Retry-After": "60"}, times=1)
    assert run.execute() == "retrying"
    assert run.seen[-1]["errors"][0]["error_type"] == "api_connection_failed"
    assert run.execute() == "parked"
    assert run.seen[-1]["errors"][0]["error_type"] == "rate_limit_exceeded"
    assert run.seen[-1]["status"] == "running"
    asked_to_end: list[bool] = []
    stop = {"stop": lambda: bool(asked_to_end)}
    assert run.interrupt("patients", 3, lambda: asked_to_end.append(True), **stop) == "released"
    operations = {one["current_operation"] for one in run.seen}

    def lose() -> None:
        wait_for(lambda: look(practice.api, run.sync_id)["current_operation"] == "Appointments: 100 records")
        practice.api.execute(
            "UPDATE sync_runs SET lease_token = lease_token + 1, lease_expires_at = now() - interval '1 second'"
        )

    assert run.interrupt("individual_appointments", 2, lose) == "skipped"
    assert run.execute() == "completed"
    operations |= {one["current_operation"] for one in run.seen}
    assert "Patients: looking again for what was missing" in operations
    run.only_went_up()
    percentages = [one["progress_percentage"] for one in run.seen]
    assert len(set(percentages)) > 8
    assert practice.run(run.sync_id)["records_deleted"] > 0
    assert run.seen[-1]["errors"] == []


def test_a_second_run_knows_how_large_its_steps_are(practice: Practice, account: Account, records: Records) -> None:
    patients = sum(one["deleted_at"] is None for one in records["patients"])
    practice.sync("acme", full_refresh=True)
    sync_id = practice.start("acme", full_refresh=True)
    share = (patients + 1) / (patients + 1 + 250 + 1)

    def check() -> None:
        assert look(practice.api, sync_id)["progress_percentage"] == round(share * 100, 1)

    with before_page(practice.upstream, "individual_appointments", 1, check):
        execute(sync_id, practice.runtime)


class TestEnds:
    def test_one_that_fails_stays_below(self, practice: Practice, account: Account) -> None:
        practice.upstream.fail("html", path="/v1/individual_appointments", page=3)
        sync_id = practice.sync("acme")["sync_id"]
        found = look(practice.api, sync_id)
        assert (found["status"], found["current_step"], found["completed_steps"]) == ("failed", "Failed", 1)
        assert found["progress_percentage"] == 84.0
        [error] = found["errors"]
        assert (error["error_type"], error["error_code"]) == ("invalid_data_format", "CLINIKO_API_NOT_JSON")
        assert error["message"]
        completed = practice.api.get(f"/api/v1/runs/{sync_id}").get_json()["completed_at"]
        assert found["estimated_completion"] == completed

    def test_a_retry_begins_where_that_one_was(self, practice: Practice, account: Account) -> None:
        fault = practice.upstream.fail("html", path="/v1/individual_appointments", page=3)
        failed = practice.sync("acme")["sync_id"]
        fault.times = 0
        retry = practice.api.post(f"/api/v1/runs/{failed}/retry").get_json()["sync_id"]
        run = Watched(practice, retry)
        run.look()
        assert run.execute() == "completed"
        run.only_went_up()
        assert [one["completed_steps"] for one in run.seen] == [0, 1, 2]
        assert [one["total_steps"] for one in run.seen] == [2, 2, 2]

    def test_one_that_is_cancelled_stays_where_it_was(self, practice: Practice, account: Account) -> None:
        run = Watched(practice, practice.start("acme"))
        cancel = f"/api/v1/runs/{run.sync_id}/cancel"
        assert run.interrupt("patients", 2, lambda: practice.api.again().post(cancel)) == "cancelled"
        run.only_went_up()
        found = run.seen[-1]
        assert (found["status"], found["current_step"], found["completed_steps"]) == ("cancelled", "Cancelled", 0)
        assert [one["error_type"] for one in found["errors"]] == ["cancelled"]

    def test_one_that_is_lost_after_its_last_page(
        self, practice: Practice, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Everything is read and written, but the run has not ended; and then it ends otherwise."""

        def lose(*_: object) -> None:
            raise LeaseLost

        run = Watched(practice, practice.start("acme"))
        with monkeypatch.context() as patch:
            patch.setattr("syncapp.engine.lease.Lease.end", lose)
            assert run.execute() == "skipped"
        assert (run.seen[-1]["status"], run.seen[-1]["completed_steps"]) == ("running", 2)
        practice.api.execute("UPDATE sync_runs SET attempt = 4, lease_expires_at = now() - interval '1 second'")
        assert practice.api.post("/api/v1/sync/cleanup").get_json()["cleaned_syncs"] == 1
        run.look()
        run.only_went_up()
        assert run.seen[-1]["status"] == "failed"

    def test_an_empty_account(self, practice: Practice) -> None:
        practice.add("acme", records={})
        found = look(practice.api, practice.sync("acme", "comprehensive")["sync_id"])
        assert (found["progress_percentage"], found["records_processed"], found["completed_steps"]) == (100.0, 0, 5)


def test_the_latest_records_that_failed(practice: Practice, account: Account) -> None:
    practice.upstream.fail("garbage", path="/v1/patients", amount=14, times=1)
    run = practice.sync("acme", "basic")
    assert run["records_failed"] == 14
    errors = look(practice.api, run["sync_id"])["errors"]
    assert len(errors) == 10
    for error in errors:
        assert set(error) == {"error_type", "message", "stream", "external_id"}
        assert (error["error_type"], error["stream"]) == ("invalid_data_format", "patients")
    latest = practice.api.query("SELECT message FROM dead_letters ORDER BY id DESC LIMIT 10")
    assert [error["message"] for error in errors] == [row["message"] for row in latest]


def test_a_sync_that_is_no_longer_in_the_code(api: Api) -> None:
    api.add_run("sync_x", sync="of-yesterday", status="starting")
    found = look(api, "sync_x")
    assert (found["total_steps"], found["progress_percentage"]) == (0, 0.0)


def test_who_may_look(api: Api) -> None:
    api.add_organization("acme")
    api.add_run("sync_acme", organization_id="acme", sync="cliniko", mode="basic")
    api.add_run("sync_default")
    member = api.make_token("acme")
    path = "/api/v1/sync/progress/{}"
    assert api.get(path.format("sync_acme"), token=member).status_code == 200
    for sync_id in ("sync_default", "sync_nobodys"):
        check_error(api.get(path.format(sync_id), token=member), 404, "not_found")
        check_error(api.get(path.format(sync_id), headers={"X-Organization-ID": "acme"}), 404, "not_found")
    assert look(api, "sync_default")["organization_id"] == "default"
    for wrong in ("a.b", "x" * 129, "a%20b"):
        check_error(api.get(path.format(wrong)), 404, "not_found")
