"""A key that Cliniko refuses: said once, not asked with again, and taken back when it works again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from beat_schedule import BEAT_SCHEDULE
from syncapp.commands.fire import fire
from syncapp.demo.cliniko_account import Account
from syncapp.demo.cliniko_records import make_records
from syncapp.demo.faults import Records
from syncapp.engine import execute
from syncapp.schedules import align_schedules
from tests.integration.api import check_error
from tests.integration.cliniko import KEY, Practice
from tests.integration.interrupting import before_page

TRIGGERS = ("cliniko/sync/acme", "cliniko/import-patients/acme", "sync/start/acme", "sync/trigger")
TRIGGERS += ("sync/scheduler/trigger",)
OTHER = "another-key-uk1"


@pytest.fixture(scope="module")
def records() -> Records:
    return make_records(1, patients=230, appointments=120)


@pytest.fixture
def account(practice: Practice, records: Records) -> Account:
    return practice.add("acme", records=records)


def status(practice: Practice) -> dict[str, Any]:
    found: dict[str, Any] = practice.api.get("/api/v1/cliniko/status/acme").get_json()
    return found


def is_valid(practice: Practice) -> tuple[bool, bool]:
    found = status(practice)
    return found["cliniko_connected"], found["credentials_valid"]


def audited(practice: Practice, action: str) -> list[tuple[str, str, str]]:
    found = practice.api.query("SELECT * FROM audit_log WHERE action = %s ORDER BY id", action)
    return [(row["actor"], row["organization_id"], row["target"]) for row in found]


def run_refused(practice: Practice, act: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """A run whose key is revoked when it asks for its second page, and then `act`; how it ended."""
    sync_id = practice.start("acme")

    def revoke() -> None:
        practice.upstream.api.revoke(KEY)
        act()

    with before_page(practice.upstream, "patients", 2, revoke):
        assert execute(sync_id, practice.runtime) == "failed"
    practice.upstream.requests.clear()
    return practice.run(sync_id)


def test_the_run_fails_and_says_why(practice: Practice, account: Account) -> None:
    run = run_refused(practice)
    assert (run["error_type"], run["error_code"]) == ("api_connection_failed", "CREDENTIALS_REFUSED")
    assert run["records_processed"] == len(practice.rows("patients", "acme")) == 100
    [error] = practice.api.get(f"/api/v1/sync/progress/{run['sync_id']}").get_json()["errors"]
    assert error["error_code"] == "CREDENTIALS_REFUSED"
    assert "refused the credentials" in error["message"]


def test_the_status_and_the_audit_trail_say_it_once(practice: Practice, account: Account) -> None:
    assert is_valid(practice) == (True, True)
    run_refused(practice)
    found = status(practice)
    assert (found["cliniko_connected"], found["credentials_valid"], found["api_region"]) == (False, False, "au4")
    assert found["sync_status"] == "unhealthy"
    for _ in range(2):
        check_error(practice.api.get("/api/v1/cliniko/test-connection/acme"), 502, "api_connection_failed")
    assert audited(practice, "credentials.refused") == [("system", "acme", "cliniko")]


def test_nothing_is_asked_with_it(practice: Practice, account: Account) -> None:
    refused = run_refused(practice)["sync_id"]
    for path in (*TRIGGERS, f"runs/{refused}/retry"):
        answer = practice.api.post(f"/api/v1/{path}", headers={"X-Organization-ID": "acme"})
        details = check_error(answer, 409, "credentials_not_found")
        assert details["error_code"] == "CREDENTIALS_REFUSED"
        assert "PUT /api/v1/cliniko/credentials/acme" in details["message"]
    body = {"sync": "cliniko", "organization_id": "acme", "mode": "basic"}
    for asked in ({}, {"dry_run": True}, {"full_refresh": True}):
        check_error(practice.api.post("/api/v1/runs", json=body | asked), 409, "credentials_not_found")
    assert len(practice.api.runs()) == 1
    assert list(practice.upstream.requests) == []


def test_a_run_that_was_started_before_is_refused_too(practice: Practice, account: Account) -> None:
    """One that had waited meanwhile asks once and fails; nothing is told again."""
    run = run_refused(practice)
    practice.api.execute("UPDATE sync_runs SET status = 'starting' WHERE sync_id = %s", run["sync_id"])
    assert execute(run["sync_id"], practice.runtime) == "failed"
    assert len(practice.upstream.requests) == 1
    assert len(audited(practice, "credentials.refused")) == 1


def test_the_scheduler_leaves_it_out(practice: Practice, account: Account) -> None:
    practice.add("other", OTHER)
    now = [datetime.now(UTC)]
    services = (practice.api.database, practice.api.settings, lambda: now[0])
    align_schedules(*services, BEAT_SCHEDULE)
    run_refused(practice)
    started = []
    for _ in range(4):
        now[0] += timedelta(hours=1)
        started += [run.organization_id for run in fire(*services, "cliniko")]
        practice.api.end_runs()
    assert set(started) == {"other"}
    assert list(practice.upstream.requests) == []
    header = {"X-Organization-ID": "acme"}
    shown = practice.api.get("/api/v1/sync/scheduler/status", headers=header).get_json()
    assert shown["next_sync_time"] is None


def test_without_any_other_nothing_is_scheduled(practice: Practice, account: Account) -> None:
    now = [datetime.now(UTC)]
    services = (practice.api.database, practice.api.settings, lambda: now[0])
    align_schedules(*services, BEAT_SCHEDULE)
    run_refused(practice)
    now[0] += timedelta(hours=3)
    assert fire(*services, "cliniko") == []
    assert practice.api.query("SELECT next_run_at FROM schedules WHERE name = 'cliniko'") == [{"next_run_at": None}]


def test_it_works_again(practice: Practice, account: Account) -> None:
    run_refused(practice)
    details = check_error(practice.api.get("/api/v1/cliniko/test-connection/acme"), 502, "api_connection_failed")
    assert details["error_code"] == "CREDENTIALS_REFUSED"
    assert is_valid(practice) == (False, False)
    practice.upstream.api.accounts[KEY] = account
    answer = practice.api.get("/api/v1/cliniko/test-connection/acme")
    assert (answer.status_code, answer.get_json()["connection_status"]) == (200, "healthy")
    assert is_valid(practice) == (True, True)
    assert audited(practice, "credentials.accepted") == [("system", "acme", "cliniko")]
    practice.api.get("/api/v1/cliniko/test-connection/acme")
    assert len(audited(practice, "credentials.accepted")) == 1
    assert practice.sync("acme")["status"] == "completed"


def test_a_check_notices_it_before_a_run_does(practice: Practice, account: Account) -> None:
    practice.upstream.api.revoke(KEY)
    check_error(practice.api.get("/api/v1/cliniko/test-connection/acme"), 502, "api_connection_failed")
    assert is_valid(practice) == (False, False)
    assert audited(practice, "credentials.refused") == [("system", "acme", "cliniko")]


def test_another_key_makes_it_good(practice: Practice, account: Account) -> None:
    run_refused(practice)
    practice.upstream.api.accounts[OTHER] = account
    answer = practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json={"api_key": OTHER})
    assert answer.status_code == 200
    assert is_valid(practice) == (True, True)
    assert practice.sync("acme")["status"] == "completed"


def test_one_that_was_replaced_meanwhile_stays_good(practice: Practice, account: Account) -> None:
    """The run is refused with the key that it began with; that says nothing of the one that is stored by then."""

    def replace() -> None:
        practice.upstream.api.accounts[OTHER] = account
        answer = practice.api.again().call("PUT", "/api/v1/cliniko/credentials/acme", json={"api_key": OTHER})
        assert answer.status_code == 200

    assert run_refused(practice, replace)["error_code"] == "CREDENTIALS_REFUSED"
    assert is_valid(practice) == (True, True)
    assert audited(practice, "credentials.refused") == []
    assert practice.sync("acme")["status"] == "completed"


def test_a_permission_that_is_missing_is_no_wrong_key(practice: Practice, account: Account) -> None:
    practice.upstream.fail("status", path="/v1/individual_appointments", status=403)
    run = practice.sync("acme")
    assert (run["status"], run["error_code"]) == ("failed", "PERMISSION_MISSING")
    assert "individual_appointments" in run["error_message"]
    assert is_valid(practice) == (True, True)
    assert audited(practice, "credentials.refused") == []
    assert practice.sync("acme", "patients-only")["status"] == "completed"
    practice.upstream.fail("status", path="/v1/patients", status=403)
    details = check_error(practice.api.get("/api/v1/cliniko/test-connection/acme"), 502, "api_connection_failed")
    assert details["error_code"] == "PERMISSION_MISSING"
    assert is_valid(practice) == (True, True)


def test_one_organizations_key_is_no_others(practice: Practice, account: Account, records: Records) -> None:
    practice.add("other", OTHER, records)
    run_refused(practice)
    other = practice.api.get("/api/v1/cliniko/status/other").get_json()
    assert other["credentials_valid"] is True
    assert practice.sync("other")["status"] == "completed"
