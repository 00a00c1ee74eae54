"""What can be asked of a run that is there: its failed records once more, its end, its going on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.test import TestResponse

from tests.integration.api import Api, add_dead_letter, check_error, open_api, open_circuit

NOON = datetime(2025, 6, 30, 12, tzinfo=UTC)


class TestErrors:
    """GET …/errors and POST …/errors/replay."""

    def test_the_records_that_failed(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x"))
        add_dead_letter(api, api.add_run("sync_y"))
        body = api.get("/api/v1/runs/sync_x/errors").get_json()
        assert body["total"] == 1
        [item] = body["items"]
        assert item.pop("id") > 0
        assert item.pop("created_at").endswith("Z")
        assert item == {
            "stream": "clients",
            "external_id": "1",
            "error_type": "invalid_data_format",
            "message": "no name",
            "record": {"id": 1},
            "replayable": True,
            "replayed_at": None,
        }

    @pytest.mark.parametrize("record", [f'{{"n": {10**40}}}', '"text"', "[1, 2]", "null", '{"n": 1.5e300}'])
    def test_whatever_the_source_sent(self, api: Api, record: str) -> None:
        add_dead_letter(api, api.add_run("sync_x"), record)
        assert api.get("/api/v1/runs/sync_x/errors").status_code == 200

    def test_replay(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x"))
        answer = api.post("/api/v1/runs/sync_x/errors/replay", headers={"X-Request-ID": "r"})
        assert answer.status_code == 202
        sync_id = answer.get_json()["sync_id"]
        assert answer.get_json()["message"] == "Replay of 1 failed record of sync_x started"
        [run] = api.query("SELECT * FROM sync_runs WHERE sync_id = %s", sync_id)
        assert (run["replay_of"], run["request_id"], run["trigger"]) == ("sync_x", "r", "retry")
        assert api.dispatcher.sent == [(sync_id, "sync")]

    def test_nothing_to_replay(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x"), replayed_at=NOON)
        check_error(api.post("/api/v1/runs/sync_x/errors/replay"), 409, "conflict")

    def test_what_failed_in_a_dry_run_is_not_replayed(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x", dry_run=True))
        details = check_error(api.post("/api/v1/runs/sync_x/errors/replay"), 409, "conflict")
        assert "start a run of clients without dry_run" in details["message"]
        assert len(api.runs()) == 1

    def test_what_was_stored_altered_is_not_replayed(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x"), replayable=False)
        add_dead_letter(api, "sync_x", replayable=False)
        assert api.get("/api/v1/runs/sync_x/errors").get_json()["items"][0]["replayable"] is False
        details = check_error(api.post("/api/v1/runs/sync_x/errors/replay"), 409, "conflict")
        assert details["error_code"] == "NOTHING_TO_REPLAY"
        assert "2 failed records could only be stored altered" in details["message"]
        assert "a full refresh reads them again" in details["message"]
        for _ in range(2):
            add_dead_letter(api, "sync_x")
        message = api.post("/api/v1/runs/sync_x/errors/replay").get_json()["message"]
        assert message == "Replay of 2 failed records of sync_x started"

    def test_a_second_replay_names_the_one_in_flight(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x"))
        add_dead_letter(api, api.add_run("sync_y"))
        first = api.post("/api/v1/runs/sync_x/errors/replay").get_json()
        api.execute("UPDATE dead_letters SET replayed_at = now() WHERE sync_id = 'sync_x'")  # the first is that far
        second = api.post("/api/v1/runs/sync_x/errors/replay")
        assert second.status_code == 202
        assert second.get_json() | {"timestamp": ""} == first | {
            "sync_started": False,
            "message": "The replay of sync_x is already in flight (starting); nothing was started",
            "timestamp": "",
        }
        assert len(api.dispatcher.sent) == 1
        details = check_error(api.post("/api/v1/runs/sync_y/errors/replay"), 409, "conflict")
        assert details["sync_id"] == first["sync_id"]
        api.end_runs()
        assert check_error(api.post("/api/v1/runs/sync_x/errors/replay"), 409)["error_code"] == "NOTHING_TO_REPLAY"

    def test_replay_beside_a_run_in_flight(self, api: Api) -> None:
        add_dead_letter(api, api.add_run("sync_x"))
        live = api.post("/api/v1/sync/clients").get_json()["sync_id"]
        details = check_error(api.post("/api/v1/runs/sync_x/errors/replay"), 409, "conflict")
        assert details["sync_id"] == live


class TestCancelAndRetry:
    """POST …/cancel and …/retry."""

    def test_a_run_that_nobody_holds_ends_at_once(self, api: Api) -> None:
        api.add_run("sync_x", status="starting")
        answer = api.post("/api/v1/runs/sync_x/cancel")
        assert (answer.status_code, answer.get_json()["status"]) == (202, "cancelled")
        assert api.get("/api/v1/runs/sync_x").get_json()["error"]["error_type"] == "cancelled"

    def test_a_run_that_is_held_stops_at_its_page(self, api: Api) -> None:
        api.add_run("sync_x", status="running", lease_expires_at=datetime.now(UTC) + timedelta(minutes=1))
        answer = api.post("/api/v1/runs/sync_x/cancel")
        assert (answer.status_code, answer.get_json()["status"]) == (202, "running")

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_a_run_that_has_ended(self, api: Api, status: str) -> None:
        api.add_run("sync_x", status=status)
        check_error(api.post("/api/v1/runs/sync_x/cancel"), 409, "conflict")

    @pytest.mark.parametrize("started_at", [NOON, None])
    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_retry(self, api: Api, status: str, started_at: datetime | None) -> None:
        api.add_run("sync_x", status=status, started_at=started_at, checkpoint='{"clients": {"number": 3}}')
        body = api.post("/api/v1/runs/sync_x/retry").get_json()
        [run] = api.query("SELECT * FROM sync_runs WHERE sync_id = %s", body["sync_id"])
        assert (run["trigger"], run["checkpoint"]) == ("retry", {"clients": {"number": 3}})
        assert body["message"] == "Retry of sync_x started"
        assert api.dispatcher.sent == [(body["sync_id"], "sync")]

    @pytest.mark.parametrize("status", ["starting", "running", "completed"])
    def test_what_cannot_be_retried(self, api: Api, status: str) -> None:
        api.add_run("sync_x", status=status)
        check_error(api.post("/api/v1/runs/sync_x/retry"), 409, "conflict")

    def test_a_second_retry_names_the_one_in_flight(self, api: Api) -> None:
        for name in ("sync_x", "sync_y"):
            api.add_run(name, status="failed", started_at=NOON)
        first = api.post("/api/v1/runs/sync_x/retry").get_json()
        second = api.post("/api/v1/runs/sync_x/retry")
        assert second.status_code == 202
        assert second.get_json() | {"timestamp": ""} == first | {
            "sync_started": False,
            "message": "A retry of sync_x is already in flight (starting); nothing was started",
            "timestamp": "",
        }
        assert len(api.dispatcher.sent) == 1
        details = check_error(api.post("/api/v1/runs/sync_y/retry"), 409, "conflict")
        assert details["sync_id"] == first["sync_id"]
        api.execute("UPDATE sync_runs SET status = 'failed' WHERE status = 'starting'")
        assert api.post("/api/v1/runs/sync_x/retry").get_json()["sync_started"] is True

    def test_many_retries_at_once_start_one_run(self, api: Api) -> None:
        api.add_run("sync_x", status="failed", started_at=NOON)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: api.again().post("/api/v1/runs/sync_x/retry").get_json(), range(6)))
        assert len({answer["sync_id"] for answer in answers}) == 1
        assert sum(answer["sync_started"] for answer in answers) == 1


class TestWhatForbidsThem:
    """A retry and a replay are triggers: what forbids a new run forbids them."""

    ACTIONS = ("retry", "errors/replay")

    def ask(self, api: Api, action: str) -> TestResponse:
        add_dead_letter(api, api.add_run("sync_x", status="failed", started_at=NOON))
        return api.post(f"/api/v1/runs/sync_x/{action}")

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_sync_that_is_not_configured(self, database_url: str, redis_url: str, action: str) -> None:
        with open_api(database_url, redis_url, mock_api_url=None) as api:
            check_error(self.ask(api, action), 409, "credentials_not_found")
            assert len(api.runs()) == 1

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_disabled_sync(self, api: Api, action: str) -> None:
        api.patch("/api/v1/schedules/clients", json={"enabled": False})
        check_error(self.ask(api, action), 409, "sync_disabled")
        assert len(api.runs()) == 1

    @pytest.mark.parametrize("action", ACTIONS)
    def test_an_organization_that_is_not_active(self, api: Api, action: str) -> None:
        api.execute("UPDATE organizations SET active = false")
        check_error(self.ask(api, action), 404, "not_found")

    def test_an_open_circuit_forbids_a_retry(self, api: Api) -> None:
        open_circuit(api, "clients", "100 seconds")
        assert 90 <= check_error(self.ask(api, "retry"), 503, "circuit_open")["retry_after"] <= 100

    def test_an_open_circuit_does_not_matter_to_a_replay(self, api: Api) -> None:
        open_circuit(api, "clients", "100 seconds")
        assert self.ask(api, "errors/replay").status_code == 202
