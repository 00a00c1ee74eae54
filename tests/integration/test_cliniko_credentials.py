"""An organization's Cliniko key over HTTP: tried before it is stored, never shown, gone when it is removed."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from syncapp.demo.cliniko_records import make_records
from syncapp.demo.faults import Records
from syncapp.engine import execute
from tests.integration.api import TIME, check_error
from tests.integration.cliniko import KEY, Practice, open_practice
from tests.integration.interrupting import before_page

STORED = {"success", "message", "organization_id", "api_region", "credentials_valid", "timestamp"}
OTHER = "another-key-uk1"
NO_KEY = ["", "   ", "\t\n", "a b-au4", "k\x00ey-au4", "k\ney-au4", "k\x1bey", "kéy-au4", "ke\u2028y", "a:b-au4"]


@pytest.fixture(scope="module")
def records() -> Records:
    return make_records(1, patients=230, appointments=120)


def put(practice: Practice, key: Any, organization_id: str = "acme", **asked: Any) -> TestResponse:
    body = asked or {"json": {"api_key": key}}
    return practice.api.call("PUT", f"/api/v1/cliniko/credentials/{organization_id}", **body)


def remove(practice: Practice, organization_id: str = "acme") -> TestResponse:
    return practice.api.call("DELETE", f"/api/v1/cliniko/credentials/{organization_id}")


def stored(practice: Practice) -> list[dict[str, Any]]:
    return practice.api.query("SELECT * FROM credentials ORDER BY organization_id")


def audited(practice: Practice) -> list[tuple[str, str, str]]:
    found = practice.api.query("SELECT * FROM audit_log WHERE action LIKE 'credentials.%%' ORDER BY id")
    return [(row["action"], row["organization_id"], row["actor"]) for row in found]


@pytest.mark.parametrize(
    ("key", "region"),
    [
        ("a-b-c-au4", "au4"),
        ("MS0xNzM0NTY3ODkwLWFiY2Rl", "au1"),
        ("ABC-AU4", "au4"),
        ("abc-uk12", "uk12"),
        ("abc-eu1", "eu1"),
        ("a-au4-key", "au1"),
        ("-au3", "au3"),
        ("  pasted-au2\n", "au2"),
        ("k" * 508 + "-au4", "au4"),
    ],
)
def test_the_region_is_read_from_the_suffix(practice: Practice, key: str, region: str) -> None:
    practice.upstream.api.add(key.strip())
    practice.api.add_organization("acme")
    answer = put(practice, key)
    body = answer.get_json()
    assert answer.status_code == 200, body
    assert set(body) == STORED
    assert (body["success"], body["organization_id"], body["credentials_valid"]) == (True, "acme", True)
    assert body["api_region"] == region
    assert TIME.fullmatch(body["timestamp"])
    assert key.strip() not in answer.get_data(as_text=True)
    [row] = stored(practice)
    assert (row["organization_id"], row["provider"], row["region"], row["valid"]) == ("acme", "cliniko", region, True)
    status = practice.api.get("/api/v1/cliniko/status/acme").get_json()
    assert (status["api_region"], status["cliniko_connected"], status["credentials_valid"]) == (region, True, True)
    assert audited(practice) == [("credentials.stored", "acme", "environment")]


def test_the_region_says_whom_to_ask(database_url: str, redis_url: str) -> None:
    with open_practice(database_url, redis_url) as practice:
        object.__setattr__(practice.api.settings, "cliniko_api_url", f"{practice.upstream.url}/{{shard}}/v1")
        practice.api.add_organization("acme")
        for key in (KEY, "older"):
            assert put(practice, key).status_code in (422, 502)
        assert [request.path for request in practice.upstream.requests] == ["/au4/v1/patients", "/au1/v1/patients"]


def test_one_request_tries_a_key(practice: Practice) -> None:
    practice.add("acme")
    [request] = practice.upstream.requests
    assert (request.path, request.params["per_page"]) == ("/v1/patients", "1")


def test_a_key_that_is_refused_leaves_the_old_one(practice: Practice) -> None:
    practice.add("acme")
    before = stored(practice)
    details = check_error(put(practice, "nobodys-key-au4"), 422, "validation_error")
    assert set(details["fields"]) == {"api_key"}
    assert "refused" in details["message"]
    assert stored(practice) == before
    assert practice.sync("acme", "patients-only")["status"] == "completed"
    assert [action for action, _, _ in audited(practice)] == ["credentials.stored"]


def test_another_key_takes_the_place_of_the_old_one(practice: Practice, records: Records) -> None:
    practice.add("acme")
    practice.upstream.api.add(OTHER, records)
    practice.upstream.api.revoke(KEY)
    assert put(practice, OTHER).get_json()["api_region"] == "uk1"
    assert len(stored(practice)) == 1
    assert practice.sync("acme", "patients-only")["records_processed"] > 200


@pytest.mark.parametrize(
    ("fault", "status", "error_type", "code"),
    [
        ({"kind": "status", "status": 503}, 502, "api_connection_failed", "CLINIKO_API_SERVER_ERROR"),
        ({"kind": "reset"}, 502, "api_connection_failed", "CLINIKO_API_CONNECTION_CUT"),
        ({"kind": "hang"}, 502, "api_connection_failed", "CLINIKO_API_TIMEOUT"),
        ({"kind": "html"}, 502, "invalid_data_format", "CLINIKO_API_NOT_JSON"),
        ({"kind": "envelope"}, 502, "invalid_data_format", "CLINIKO_API_WRONG_ENVELOPE"),
        ({"kind": "status", "status": 404}, 502, "api_connection_failed", "CLINIKO_API_NOT_FOUND"),
        (
            {"kind": "status", "status": 429, "headers": {"Retry-After": "77"}},
            429,
            "rate_limit_exceeded",
            "RATE_LIMIT_EXCEEDED",
        ),
    ],
)
def test_cliniko_has_trouble(
    database_url: str, redis_url: str, fault: dict[str, Any], status: int, error_type: str, code: str
) -> None:
    """Nobody knows then whether the key is good: it is not stored, and the old one stays. A check says the same."""
    with open_practice(database_url, redis_url, external_api_timeout=0.3) as practice:
        practice.add("acme")
        practice.upstream.api.add(OTHER)
        before = stored(practice)
        practice.upstream.fail(**fault)
        for answer in (put(practice, OTHER), practice.api.get("/api/v1/cliniko/test-connection/acme")):
            details = check_error(answer, status, error_type)
            assert details["error_code"] == code
            assert details.get("retry_after") == (77 if status == 429 else None)
        assert stored(practice) == before


def test_cliniko_is_down(practice: Practice) -> None:
    practice.api.add_organization("acme")
    practice.upstream.stop()
    assert check_error(put(practice, KEY), 502, "api_connection_failed")["error_code"] == "CLINIKO_API_UNREACHABLE"
    assert stored(practice) == []


def test_the_accounts_limit_is_used_up(practice: Practice) -> None:
    practice.add("acme")
    practice.upstream.api.limit = 1
    details = check_error(put(practice, KEY), 429, "rate_limit_exceeded")
    assert 1 <= details["retry_after"] <= 61


@pytest.mark.parametrize("organization_id", ["nobody", "closed"])
def test_no_active_organization(practice: Practice, organization_id: str) -> None:
    practice.upstream.api.add(KEY)
    practice.api.add_organization("closed", active=False)
    check_error(put(practice, KEY, organization_id), 404, "not_found")
    check_error(practice.api.get(f"/api/v1/cliniko/test-connection/{organization_id}"), 404, "not_found")
    assert list(practice.upstream.requests) == []
    assert stored(practice) == []


@pytest.mark.parametrize("key", [None, 5, True, ["a"], {"a": 1}, *NO_KEY, "k" * 10_240, "k" * 513])
def test_what_is_no_key(practice: Practice, key: Any) -> None:
    practice.api.add_organization("acme")
    answer = put(practice, key)
    assert set(check_error(answer, 422, "validation_error")["fields"]) == {"api_key"}
    assert "kkkk" not in answer.get_data(as_text=True)
    assert list(practice.upstream.requests) == []
    assert stored(practice) == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"json": {}}, 422),
        ({"json": {"api_key": KEY, "region": "au4"}}, 422),
        ({"json": {"key": KEY}}, 422),
        ({"json": []}, 422),
        ({"json": KEY}, 422),
        ({"data": b"", "content_type": "application/json"}, 422),
        ({"data": b'{"api_key": "' + KEY.encode(), "content_type": "application/json"}, 400),
        ({"data": b'{"api_key": "\xff"}', "content_type": "application/json"}, 400),
        ({"data": KEY, "content_type": "text/plain"}, 415),
        ({"data": {"api_key": KEY}, "content_type": "application/x-www-form-urlencoded"}, 415),
        ({"json": {"api_key": "k" * 1_100_000}}, 413),
    ],
)
def test_wrong_bodies(practice: Practice, asked: dict[str, Any], status: int) -> None:
    practice.add("acme")
    before = stored(practice)
    practice.upstream.requests.clear()
    answer = put(practice, None, **asked)
    check_error(answer, status, "validation_error")
    assert KEY not in answer.get_data(as_text=True)
    assert list(practice.upstream.requests) == []
    assert stored(practice) == before


class TestRemoving:
    def test_once_and_again(self, practice: Practice) -> None:
        practice.add("acme")
        practice.add("other", OTHER)
        for _ in range(2):
            answer = remove(practice)
            assert (answer.status_code, answer.get_data()) == (204, b"")
        assert [row["organization_id"] for row in stored(practice)] == ["other"]
        assert [one for one in audited(practice) if one[0] == "credentials.removed"] == [
            ("credentials.removed", "acme", "environment")
        ]
        status = practice.api.get("/api/v1/cliniko/status/acme").get_json()
        assert (status["cliniko_connected"], status["credentials_valid"], status["api_region"]) == (False, False, None)
        assert (status["sync_enabled"], status["sync_status"]) == (False, "not_configured")
        check_error(practice.api.get("/api/v1/cliniko/test-connection/acme"), 409, "credentials_not_found")

    def test_of_an_unknown_organization(self, practice: Practice) -> None:
        check_error(remove(practice, "nobody"), 404, "not_found")

    def test_of_an_organization_that_is_not_active_any_more(self, practice: Practice) -> None:
        practice.add("acme")
        practice.api.execute("UPDATE organizations SET active = false WHERE id = 'acme'")
        assert remove(practice).status_code == 204
        assert stored(practice) == []

    def test_the_run_in_flight_stops_at_its_page(self, practice: Practice, records: Records) -> None:
        practice.add("acme", records=records)
        practice.add("other", OTHER, records)
        beside = practice.start("other")
        sync_id = practice.start("acme")
        with before_page(practice.upstream, "patients", 3, lambda: remove(practice)):
            assert execute(sync_id, practice.runtime) == "cancelled"
        run = practice.run(sync_id)
        assert (run["status"], run["error_type"]) == ("cancelled", "cancelled")
        assert set(practice.paths()) == {"patients"}
        assert len(practice.rows("patients", "acme")) == run["records_processed"] > 0  # what it had read stays
        assert execute(beside, practice.runtime) == "completed"

    def test_a_run_that_has_not_begun_ends_at_once(self, practice: Practice) -> None:
        practice.add("acme")
        sync_id = practice.start("acme")
        remove(practice)
        assert practice.run(sync_id)["status"] == "cancelled"
        assert execute(sync_id, practice.runtime) == "skipped"

    def test_nothing_starts_any_more(self, practice: Practice) -> None:
        practice.add("acme")
        remove(practice)
        header = {"X-Organization-ID": "acme"}
        for path in ("cliniko/sync/acme", "cliniko/import-patients/acme", "sync/start/acme", "sync/trigger"):
            details = check_error(practice.api.post(f"/api/v1/{path}", headers=header), 409, "credentials_not_found")
            assert details["error_code"] == "CREDENTIALS_NOT_FOUND"
            assert "PUT /api/v1/cliniko/credentials/acme" in details["message"]
        assert practice.api.runs() == []
        assert put(practice, KEY).status_code == 200
        assert practice.sync("acme")["status"] == "completed"

    def test_a_run_whose_key_is_gone_fails(self, practice: Practice) -> None:
        practice.add("acme")
        sync_id = practice.start("acme")
        practice.api.execute("DELETE FROM credentials")
        assert execute(sync_id, practice.runtime) == "failed"
        assert practice.run(sync_id)["error_type"] == "credentials_not_found"

    def test_a_replay_needs_none(self, practice: Practice, records: Records) -> None:
        practice.add("acme", records=records)
        practice.upstream.fail("garbage", path="/v1/patients", times=1)
        failed = practice.sync("acme", "patients-only")
        remove(practice)
        practice.upstream.requests.clear()
        replay = practice.api.post(f"/api/v1/runs/{failed['sync_id']}/errors/replay").get_json()
        assert execute(replay["sync_id"], practice.runtime) == "completed"
        assert practice.run(replay["sync_id"])["records_processed"] > 0
        assert list(practice.upstream.requests) == []
