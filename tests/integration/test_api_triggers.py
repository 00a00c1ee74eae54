"""Triggers: what they answer, what they leave in the database, and that asking twice starts nothing twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from syncapp.commands.start import live_run
from syncapp.errors import DatabaseUnavailable
from tests.integration.api import TIME, Api, check_error, open_api, open_circuit

ANSWER = {"message", "sync_started", "sync_id", "organization_id", "timestamp"}
ONE = ["/api/v1/sync/clients", "/api/v1/sync/appointments"]
BOTH = ["/api/v1/sync/all", "/api/v1/sync/force"]


@pytest.mark.parametrize("path", ONE)
def test_one(api: Api, path: str) -> None:
    answer = api.post(path, headers={"X-Request-ID": "my-request.1"})
    body = answer.get_json()
    assert answer.status_code == 202
    assert set(body) == ANSWER
    assert body["sync_started"] is True
    assert TIME.fullmatch(body["timestamp"])
    assert body["sync_id"].startswith(f"sync_default_{datetime.now(UTC):%Y%m%d_%H}")
    [run] = api.runs()
    assert run["sync"] == path.rpartition("/")[2]
    assert (run["sync_id"], run["status"], run["trigger"]) == (body["sync_id"], "starting", "manual")
    assert (run["request_id"], run["organization_id"]) == ("my-request.1", "default")
    assert api.dispatcher.sent == [(body["sync_id"], "sync")]


@pytest.mark.parametrize("path", BOTH)
def test_both(api: Api, path: str) -> None:
    answer = api.post(path)
    body = answer.get_json()
    assert answer.status_code == 202
    assert set(body) == ANSWER | {"syncs"}
    assert set(body["syncs"]) == {"clients", "appointments"}
    assert all(set(one) == {"sync_started", "sync_id"} for one in body["syncs"].values())
    clients, appointments = api.runs()
    assert body["sync_id"] == body["syncs"]["clients"]["sync_id"] == clients["sync_id"]
    assert body["syncs"]["appointments"]["sync_id"] == appointments["sync_id"]
    assert [sent[0] for sent in api.dispatcher.sent] == [clients["sync_id"], appointments["sync_id"]]


def test_force_ignores_cursor_circuit_and_schedule(api: Api) -> None:
    api.execute("INSERT INTO schedules (name, cron, enabled) VALUES ('clients', '0 * * * *', false)")
    open_circuit(api, "appointments", "1 hour")
    assert api.post("/api/v1/sync/force").status_code == 202
    assert all((run["full_refresh"], run["force"], run["trigger"]) == (True, True, "force") for run in api.runs())


def test_all_where_one_is_in_flight(api: Api) -> None:
    first = api.post("/api/v1/sync/clients").get_json()["sync_id"]
    body = api.post("/api/v1/sync/all").get_json()
    assert body["syncs"]["clients"] == {"sync_started": False, "sync_id": first}
    assert body["syncs"]["appointments"]["sync_started"] is True
    assert (body["sync_started"], body["sync_id"]) == (True, body["syncs"]["appointments"]["sync_id"])
    assert len(api.dispatcher.sent) == 2


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(("refused", "other"), [("clients", "appointments"), ("appointments", "clients")])
def test_one_of_both_is_refused(api: Api, path: str, refused: str, other: str) -> None:
    asked = {"sync": refused, "since": "2025-01-01T00:00:00Z"}
    live = api.post("/api/v1/runs", json=asked).get_json()["sync_id"]
    header = {"Idempotency-Key": "k"}
    answer = api.post(path, headers=header)
    body = answer.get_json()
    assert (answer.status_code, body["sync_started"], body["sync_id"]) == (202, True, body["syncs"][other]["sync_id"])
    assert body["syncs"][other]["sync_started"] is True
    error = body["syncs"][refused].pop("error")
    assert body["syncs"][refused] == {"sync_started": False, "sync_id": live}
    assert (error["error_type"], error["error_code"]) == ("conflict", "RUN_IN_FLIGHT")
    assert error["message"] in body["message"]
    assert [sent[0] for sent in api.dispatcher.sent] == [live, body["sync_id"]]
    assert api.post(path, headers=header).get_json() == answer.get_json()


def test_one_of_both_may_not_be_started(api: Api) -> None:
    api.patch("/api/v1/schedules/clients", json={"enabled": False})
    open_circuit(api, "appointments", "1 hour")
    check_error(api.post("/api/v1/sync/all", headers={"Idempotency-Key": "k"}), 409, "sync_disabled")
    assert api.runs() == []
    api.execute("DELETE FROM circuits")
    body = api.post("/api/v1/sync/all", headers={"Idempotency-Key": "k"}).get_json()
    assert body["syncs"]["clients"]["sync_id"] is None
    assert body["syncs"]["clients"]["error"]["error_type"] == "sync_disabled"
    assert [run["sync"] for run in api.runs()] == ["appointments"]


@pytest.mark.parametrize("status", ["starting", "running"])
def test_a_run_in_flight(api: Api, status: str) -> None:
    first = api.post("/api/v1/sync/clients").get_json()["sync_id"]
    api.execute("UPDATE sync_runs SET status = %s", status)
    answer = api.post("/api/v1/sync/clients")
    assert answer.status_code == 202
    assert (answer.get_json()["sync_started"], answer.get_json()["sync_id"]) == (False, first)
    assert "in flight" in answer.get_json()["message"]
    assert len(api.dispatcher.sent) == len(api.runs()) == 1


def test_a_run_in_flight_comes_before_what_would_forbid_a_new_one(api: Api) -> None:
    first = api.post("/api/v1/sync/clients").get_json()["sync_id"]
    api.execute("INSERT INTO schedules (name, cron, enabled) VALUES ('clients', '0 * * * *', false)")
    assert api.post("/api/v1/sync/clients").get_json()["sync_id"] == first


@pytest.mark.parametrize(
    "other", [{"full_refresh": True}, {"since": "2025-01-01T00:00:00Z"}, {"allow_mass_delete": True}]
)
def test_something_else_is_in_flight(api: Api, other: dict[str, Any]) -> None:
    first = api.post("/api/v1/sync/clients").get_json()["sync_id"]
    details = check_error(api.post("/api/v1/runs", json={"sync": "clients"} | other), 409, "conflict")
    assert details["sync_id"] == first


def test_a_dry_run_may_run_beside(api: Api) -> None:
    api.post("/api/v1/sync/clients")
    answer = api.post("/api/v1/runs", json={"sync": "clients", "dry_run": True})
    assert answer.get_json()["sync_started"] is True
    assert [run["dry_run"] for run in api.runs()] == [False, True]


def test_many_at_once_start_one(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.again().post(ONE[0]).get_json(), range(16)))
    assert sum(answer["sync_started"] for answer in answers) == 1
    assert len({answer["sync_id"] for answer in answers}) == len(api.runs()) == 1


@pytest.mark.parametrize("path", [ONE[0], "/api/v1/runs/sync_old/retry"])
def test_the_run_in_flight_ends_while_it_is_looked_for(api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    api.add_run("sync_old", status="failed")
    first = api.post(ONE[0]).get_json()["sync_id"]

    def look_too_late(*asked: Any) -> Any:
        api.execute("UPDATE sync_runs SET status = 'completed' WHERE sync_id = %s", first)
        return live_run(*asked)

    monkeypatch.setattr("syncapp.commands.start.live_run", look_too_late)
    answer = api.post(path)
    assert (answer.status_code, answer.get_json()["sync_started"]) == (202, True)
    assert answer.get_json()["sync_id"] != first


class TestRuns:
    """POST /api/v1/runs."""

    def test_all_that_can_be_asked(self, api: Api) -> None:
        asked = {"sync": "clients", "organization_id": "default", "mode": "default", "full_refresh": False}
        asked |= {"dry_run": True, "since": "2025-06-30T14:00:00+02:00"}
        answer = api.post("/api/v1/runs", json=asked)
        assert answer.status_code == 202
        assert set(answer.get_json()) == ANSWER
        [run] = api.runs()
        assert (run["full_refresh"], run["dry_run"], run["mode"]) == (False, True, "default")
        assert run["since"] == datetime(2025, 6, 30, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "sync"),
            ({"sync": None}, "sync"),
            ({"sync": 5}, "sync"),
            ({"sync": ""}, "sync"),
            ({"sync": "a\x00"}, "sync"),
            ({"sync": "clients", "mode": "comprehensive"}, "mode"),
            ({"sync": "clients", "mode": "\n"}, "mode"),
            ({"sync": "clients", "organization_id": "../x"}, "organization_id"),
            ({"sync": "clients", "dry_run": "perhaps"}, "dry_run"),
            ({"sync": "clients", "since": "yesterday"}, "since"),
            ({"sync": "clients", "since": "0001-01-01T00:00:00+14:00"}, "since"),
            ({"sync": "clients", "since": "9999-12-31T23:59:59-14:00"}, "since"),
            ({"sync": "clients", "since": 10**30}, "since"),
            ({"sync": "clients", "since": "2025-01-01T00:00:00Z", "full_refresh": True}, "since"),
            ({"sync": "clients", "drop": True}, "drop"),
        ],
    )
    def test_what_is_not_valid(self, api: Api, body: dict[str, Any], field: str) -> None:
        details = check_error(api.post("/api/v1/runs", json=body), 422, "validation_error")
        assert set(details["fields"]) == {field}
        assert api.runs() == []

    @pytest.mark.parametrize("body", ["[]", '"clients"', "5", "null", '["sync"]', ""])
    def test_bodies_that_are_no_object(self, api: Api, body: str) -> None:
        answer = api.post("/api/v1/runs", data=body, content_type="application/json")
        check_error(answer, 422, "validation_error")

    def test_an_unknown_sync(self, api: Api) -> None:
        check_error(api.post("/api/v1/runs", json={"sync": "nothing"}), 404, "not_found")


class TestRefusals:
    """What forbids a run."""

    def test_a_disabled_sync(self, api: Api) -> None:
        assert api.patch("/api/v1/schedules/clients", json={"enabled": False}).status_code == 200
        check_error(api.post("/api/v1/sync/clients"), 409, "sync_disabled")
        assert api.runs() == []

    def test_a_dry_run_of_a_disabled_sync(self, api: Api) -> None:
        api.patch("/api/v1/schedules/clients", json={"enabled": False})
        assert api.post("/api/v1/runs", json={"sync": "clients", "dry_run": True}).status_code == 202

    @pytest.mark.parametrize("path", [*ONE, *BOTH])
    def test_a_sync_that_is_not_configured(self, database_url: str, redis_url: str, path: str) -> None:
        with open_api(database_url, redis_url, mock_api_url=None) as api:
            details = check_error(api.post(path), 409, "credentials_not_found")
            assert "MOCK_API_URL" in details["message"]
            assert api.runs() == []

    def test_an_open_circuit(self, api: Api) -> None:
        open_circuit(api, "clients", "100 seconds")
        details = check_error(api.post("/api/v1/sync/clients"), 503, "circuit_open")
        assert 90 <= details["retry_after"] <= 100
        assert api.runs() == []

    def test_a_circuit_that_was_open(self, api: Api) -> None:
        open_circuit(api, "clients", "-1 second")
        assert api.post("/api/v1/sync/clients").status_code == 202


class TestUnreachable:
    """What is down, and what that means for a trigger."""

    def test_a_broker_that_is_down_loses_nothing(self, api: Api) -> None:
        api.dispatcher.reachable = False
        answer = api.post("/api/v1/sync/clients")
        assert (answer.status_code, answer.get_json()["sync_started"]) == (202, True)
        [run] = api.runs()
        assert (run["status"], run["dispatched_at"]) == ("starting", None)  # the next sweep sends it

    def test_a_database_that_goes_down_after_the_commit(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        def be_down(*_: Any) -> None:
            raise DatabaseUnavailable("gone")

        monkeypatch.setattr("api.context.leave_to_sweep", be_down)
        api.dispatcher.reachable = False
        assert api.post("/api/v1/sync/clients").status_code == 202

    def test_a_database_that_is_down(self, redis_url: str) -> None:
        with open_api("postgresql+psycopg://nobody@127.0.0.1:9/nothing", redis_url) as api:
            for method, path in [("POST", "/api/v1/sync/clients"), ("GET", "/api/v1/runs"), ("GET", "/api/v1/syncs")]:
                details = check_error(api.call(method, path), 503, "database_error")
                assert details["retry_after"] > 0
            check_error(api.get("/api/v1/runs", token="some-other-token"), 503, "database_error")
            assert api.get("/api/v1/health", token=None).get_json()["status"] == "unhealthy"
            assert api.get("/healthz", token=None).status_code == 200
            assert api.dispatcher.sent == []
