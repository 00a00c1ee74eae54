"""Cliniko's own routes: what they answer, and that they agree with the run (contract, section 2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from beat_schedule import BEAT_SCHEDULE
from syncapp.demo.cliniko_records import make_records
from syncapp.demo.faults import Records
from syncapp.engine import execute
from syncapp.schedules import align_schedules
from tests.integration.api import TIME, check_error
from tests.integration.cliniko import KEY, Practice, open_practice

SYNC, IMPORT = "/api/v1/cliniko/sync/acme", "/api/v1/cliniko/import-patients/acme"
START, TRIGGER, SCHEDULED = "/api/v1/sync/start/acme", "/api/v1/sync/trigger", "/api/v1/sync/scheduler/trigger"
HEADER = {"X-Organization-ID": "acme"}
COMMON = {"message", "sync_started", "sync_id", "organization_id", "timestamp"}
OWN = {
    SYNC: {"success", "sync_mode"},
    IMPORT: {"success", "import_id"},
    START: {"sync_mode", "started_at"},
    TRIGGER: set(),
    SCHEDULED: set(),
}
STATUS = {"organization_id", "cliniko_connected", "api_region", "last_sync", "total_patients", "sync_enabled"}
STATUS |= {"credentials_valid", "sync_status"}
CONNECTION = {"success", "connection_status", "api_region", "response_time_ms", "test_timestamp"}


@pytest.fixture(scope="module")
def records() -> Records:
    return make_records(1, patients=40, appointments=60)


@pytest.fixture
def acme(practice: Practice, records: Records) -> Practice:
    practice.add("acme", records=records)
    return practice


def post(practice: Practice, path: str, headers: dict[str, str] | None = None, **asked: Any) -> Any:
    return practice.api.post(path, headers=HEADER | (headers or {}), **asked)


@pytest.mark.parametrize(
    ("path", "query", "mode", "message"),
    [
        (SYNC, "", "comprehensive", "Comprehensive Cliniko sync started successfully"),
        (SYNC, "?mode=comprehensive", "comprehensive", "Comprehensive Cliniko sync started successfully"),
        (SYNC, "?mode=basic", "basic", "Basic Cliniko sync started successfully"),
        (SYNC, "?mode=patients-only", "patients-only", "Patients-only Cliniko sync started successfully"),
        (IMPORT, "", "patients-only", "Patient import started successfully"),
        (START, "", "active", "Sync started successfully in active mode"),
        (START, "?sync_mode=active", "active", "Sync started successfully in active mode"),
        (START, "?sync_mode=comprehensive", "comprehensive", "Sync started successfully in comprehensive mode"),
        (TRIGGER, "", "basic", "Sync started successfully"),
        (SCHEDULED, "", "comprehensive", "Scheduled sync triggered successfully"),
    ],
)
def test_a_trigger(acme: Practice, path: str, query: str, mode: str, message: str) -> None:
    answer = post(acme, path + query, {"X-Request-ID": "my-request.1"})
    body = answer.get_json()
    assert answer.status_code == 202, body
    assert set(body) == COMMON | OWN[path]
    assert (body["message"], body["sync_started"], body["organization_id"]) == (message, True, "acme")
    assert body["sync_id"].startswith(f"sync_acme_{datetime.now(UTC):%Y%m%d_%H}")
    assert TIME.fullmatch(body["timestamp"])
    expected = {"success": True, "sync_mode": mode, "import_id": body["sync_id"], "started_at": body["timestamp"]}
    assert {name: body[name] for name in OWN[path]} == {name: expected[name] for name in OWN[path]}
    [run] = acme.api.runs()
    assert (run["sync"], run["mode"], run["trigger"], run["status"]) == ("cliniko", mode, "manual", "starting")
    assert (run["sync_id"], run["request_id"]) == (body["sync_id"], "my-request.1")
    assert acme.api.dispatcher.sent == [(body["sync_id"], "sync")]
    assert execute(body["sync_id"], acme.runtime) == "completed"


@pytest.mark.parametrize(
    ("path", "field", "modes"),
    [
        (SYNC, "mode", ["active", "full", "", "Basic", "basic "]),
        (START, "sync_mode", ["basic", "patients-only", "full", ""]),
    ],
)
def test_a_mode_that_there_is_not(acme: Practice, path: str, field: str, modes: list[str]) -> None:
    for mode in modes:
        answer = acme.api.post(path, query_string={field: mode})
        assert set(check_error(answer, 422, "validation_error")["fields"]) == {field}
    assert acme.api.runs() == []


@pytest.mark.parametrize("path", OWN)
def test_a_second_trigger_starts_nothing(acme: Practice, path: str) -> None:
    first = post(acme, path).get_json()
    answer = post(acme, path)
    body = answer.get_json()
    assert (answer.status_code, body["sync_started"], body["sync_id"]) == (202, False, first["sync_id"])
    assert "in flight" in body["message"]
    assert set(body) == COMMON | OWN[path]
    assert len(acme.api.runs()) == len(acme.api.dispatcher.sent) == 1


@pytest.mark.parametrize("path", [f"{SYNC}?mode=basic", IMPORT, f"{START}?sync_mode=active", TRIGGER])
def test_another_mode_is_a_conflict(acme: Practice, path: str) -> None:
    first = post(acme, SYNC).get_json()["sync_id"]
    details = check_error(post(acme, path), 409, "conflict")
    assert details["sync_id"] == first
    assert len(acme.api.runs()) == 1


def test_the_same_run_from_elsewhere_is_no_conflict(acme: Practice) -> None:
    first = post(acme, IMPORT).get_json()["import_id"]
    again = post(acme, f"{SYNC}?mode=patients-only").get_json()
    assert (again["sync_started"], again["sync_id"]) == (False, first)


@pytest.mark.parametrize("path", OWN)
def test_a_retried_request_gets_the_first_answer(acme: Practice, path: str) -> None:
    key = {"Idempotency-Key": "k1"}
    first = post(acme, path, key).get_json()
    acme.api.end_runs()
    again = post(acme, path, key).get_json()
    assert again == first
    assert len(acme.api.runs()) == len(acme.api.dispatcher.sent) == 1
    assert post(acme, path, {"Idempotency-Key": "k2"}).get_json()["sync_id"] != first["sync_id"]


def test_what_the_scheduler_would_do_has_changed_since_the_first_answer(acme: Practice) -> None:
    key = {"Idempotency-Key": "k1"}
    first = post(acme, SCHEDULED, key).get_json()
    assert execute(first["sync_id"], acme.runtime) == "completed"
    assert post(acme, SCHEDULED, key).get_json() == first
    assert len(acme.api.runs()) == 1


def test_an_idempotency_key_stands_for_one_request_of_one_organization(acme: Practice, records: Records) -> None:
    acme.add("other", "another-key-au1", records)
    key = {"Idempotency-Key": "k1"}
    first = post(acme, SYNC, key).get_json()
    acme.api.end_runs()
    for path in (f"{SYNC}?mode=basic", IMPORT, START, TRIGGER):
        details = check_error(post(acme, path, key), 422, "validation_error")
        assert details["error_code"] == "IDEMPOTENCY_KEY_REUSED"
    other = acme.api.post("/api/v1/cliniko/sync/other", headers=key).get_json()
    assert other["sync_started"] is True
    assert other["sync_id"] != first["sync_id"]


@pytest.mark.parametrize("path", [SYNC, IMPORT, START])
def test_header_and_path_that_disagree(acme: Practice, path: str) -> None:
    acme.api.add_organization("other")
    for named in ("other", "nobody"):
        check_error(acme.api.post(path, headers={"X-Organization-ID": named}), 400, "validation_error")
    assert acme.api.post(path, headers=HEADER).status_code == 202


@pytest.mark.parametrize("path", ["status", "test-connection"])
def test_header_and_path_that_disagree_when_reading(acme: Practice, path: str) -> None:
    answer = acme.api.get(f"/api/v1/cliniko/{path}/acme", headers={"X-Organization-ID": "default"})
    check_error(answer, 400, "validation_error")


@pytest.mark.parametrize("path", [one.replace("acme", "{}") for one in (SYNC, IMPORT, START)])
def test_an_organization_that_there_is_not(acme: Practice, path: str) -> None:
    acme.api.add_organization("closed", active=False)
    for named in ("nobody", "closed"):
        check_error(acme.api.post(path.format(named)), 404, "not_found")
    for wrong in ("a.b", "x" * 65, "a%20b", "%C3%BC"):
        check_error(acme.api.post(path.format(wrong)), 422, "validation_error")
    assert acme.api.runs() == []


def test_an_open_circuit_forbids_a_run(acme: Practice) -> None:
    acme.api.execute(
        "INSERT INTO circuits (sync, organization_id, open_until) VALUES ('cliniko', 'acme', now() + interval '60 s')"
    )
    details = check_error(post(acme, SYNC), 503, "circuit_open")
    assert 1 <= details["retry_after"] <= 60
    assert acme.api.runs() == []


@pytest.mark.parametrize("path", OWN)
def test_the_switch_of_the_schedule_stops_nobodys_hand(acme: Practice, path: str) -> None:
    """It is one for all organizations."""
    acme.api.patch("/api/v1/schedules/cliniko", json={"enabled": False})
    assert post(acme, path).get_json()["sync_started"] is True


def test_triggers_are_limited_by_token(database_url: str, redis_url: str) -> None:
    with open_practice(database_url, redis_url, trigger_rate_limit=1) as practice:
        practice.add("acme")
        for path in OWN:
            token = practice.api.make_token("acme")
            assert post(practice, path, token=token).status_code in (202, 409)
            assert check_error(post(practice, path, token=token), 429, "rate_limit_exceeded")["retry_after"] <= 60


def test_while_redis_is_away(database_url: str) -> None:
    """Runs start; Cliniko is not asked while nobody knows how often others ask it."""
    with open_practice(database_url, "redis://127.0.0.1:9/0") as practice:
        practice.upstream.api.add(KEY)
        practice.api.add_organization("acme")
        body = {"api_key": KEY}
        details = check_error(practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json=body), 429)
        assert (details["error_type"], details["error_code"]) == ("rate_limit_exceeded", "RATE_LIMIT_UNKNOWN")
        practice.api.execute(
            "INSERT INTO credentials (organization_id, provider, secret) VALUES ('acme', 'cliniko', '')"
        )
        assert post(practice, SYNC).status_code == 202
        assert list(practice.upstream.requests) == []


class TestStatus:
    def get(self, practice: Practice) -> dict[str, Any]:
        answer = practice.api.get("/api/v1/cliniko/status/acme")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.get_json()
        assert set(found) == STATUS
        return found

    def test_without_a_key(self, practice: Practice) -> None:
        practice.api.add_organization("acme")
        assert self.get(practice) == {
            "organization_id": "acme",
            "cliniko_connected": False,
            "api_region": None,
            "last_sync": None,
            "total_patients": 0,
            "sync_enabled": False,
            "credentials_valid": False,
            "sync_status": "not_configured",
        }

    def test_before_and_after_a_run(self, acme: Practice, records: Records) -> None:
        before = self.get(acme)
        assert (before["last_sync"], before["total_patients"], before["sync_enabled"]) == (None, 0, True)
        acme.sync("acme", "comprehensive")
        after = self.get(acme)
        live = [one for one in records["patients"] if one["deleted_at"] is None]
        assert after["total_patients"] == len(live) > 0
        assert TIME.fullmatch(after["last_sync"])
        assert after["sync_status"] == "healthy"
        assert any(one["archived_at"] for one in live)
        assert after | {"last_sync": None, "total_patients": 0} == before | {"sync_status": "healthy"}

    def test_patients_of_others_and_those_that_are_awaited_do_not_count(self, acme: Practice, records: Records) -> None:
        acme.add("other", "another-key-au1", records)
        acme.sync("other")
        assert self.get(acme)["total_patients"] == 0
        acme.api.execute(
            "INSERT INTO patients (organization_id, external_id, sync_status) VALUES ('acme', '1', 'pending')"
        )
        assert self.get(acme)["total_patients"] == 0

    def test_a_schedule_that_is_off(self, acme: Practice) -> None:
        align_schedules(acme.api.database, acme.api.settings, lambda: datetime.now(UTC), BEAT_SCHEDULE)
        assert self.get(acme)["sync_enabled"] is True
        acme.api.patch("/api/v1/schedules/cliniko", json={"enabled": False})
        found = self.get(acme)
        assert (found["sync_enabled"], found["sync_status"]) == (False, "stopped")

    def test_a_run_that_fails_is_no_last_sync(self, acme: Practice) -> None:
        acme.upstream.fail("html")
        assert acme.sync("acme")["status"] == "failed"
        found = self.get(acme)
        assert found["last_sync"] is None
        assert found["sync_status"] != "healthy"
        assert found["credentials_valid"] is True


class TestConnection:
    def test_a_connection_that_works(self, acme: Practice) -> None:
        acme.paths()
        answer = acme.api.get("/api/v1/cliniko/test-connection/acme")
        body = answer.get_json()
        assert answer.status_code == 200
        assert set(body) == CONNECTION
        assert (body["success"], body["connection_status"], body["api_region"]) == (True, "healthy", "au4")
        assert 0 < body["response_time_ms"] < 60_000
        assert TIME.fullmatch(body["test_timestamp"])
        assert acme.paths() == ["patients"]
        assert acme.api.runs() == []

    def test_without_a_key(self, practice: Practice) -> None:
        practice.api.add_organization("acme")
        check_error(practice.api.get("/api/v1/cliniko/test-connection/acme"), 409, "credentials_not_found")

    def test_an_account_without_patients(self, practice: Practice) -> None:
        practice.add("acme", KEY, {})
        assert practice.api.get("/api/v1/cliniko/test-connection/acme").status_code == 200


@pytest.mark.parametrize("path", ["cliniko/sync/acme?sync_mode=basic", "sync/start/acme?mode=comprehensive"])
def test_a_mode_under_another_name_starts_no_other_mode(practice: Practice, path: str) -> None:
    practice.add("acme")
    check_error(practice.api.post(f"/api/v1/{path}"), 422, "validation_error")
    assert practice.api.runs() == []
