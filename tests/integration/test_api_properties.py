"""The properties' sync over the API: started, and looked at (contract, section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.administration import CONFIGURED, NOTHING_YET, SYNC, align, data, status, tick
from tests.integration.api import TIME, Api, add_ended, check_error, open_api, open_circuit
from tests.integration.properties import Catalogue, open_catalogue

TRIGGERED = {"status", "message", "estimated_duration", "triggered_at", "sync_id"}
TRIGGERED |= {"sync_started", "organization_id", "timestamp"}
HOUR = timedelta(hours=1)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[Api]:
    with open_api(database_url, redis_url, **CONFIGURED) as made:
        yield made


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, 7) as made:
        yield made


class TestTrigger:
    """POST /api/v1/admin/sync"""

    def test_it_starts_a_run(self, api: Api) -> None:
        found = data(api, "POST")
        assert set(found) == TRIGGERED
        assert (found["status"], found["sync_started"], found["organization_id"]) == ("running", True, "default")
        assert found["message"] == "Synchronization started in background"
        assert found["triggered_at"] == found["timestamp"]
        assert TIME.fullmatch(found["triggered_at"])
        [run] = api.runs()
        assert (run["sync_id"], run["sync"], run["trigger"], run["status"]) == (
            found["sync_id"],
            "properties",
            "manual",
            "starting",
        )
        assert api.dispatcher.sent == [(found["sync_id"], "sync")]

    @pytest.mark.parametrize("state", ["starting", "running"])
    def test_a_run_in_flight_is_named(self, api: Api, state: str) -> None:
        first = data(api, "POST")
        if state == "running":
            api.execute("UPDATE sync_runs SET status = 'running', started_at = now()")
        found = data(api, "POST")
        assert (found["status"], found["sync_started"], found["sync_id"]) == (state, False, first["sync_id"])
        assert "already in flight" in found["message"]
        assert len(api.dispatcher.sent) == 1

    def test_many_at_once_start_one(self, api: Api) -> None:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: data(api.again(), "POST"), range(6)))
        assert len({one["sync_id"] for one in answers}) == 1
        assert sum(one["sync_started"] for one in answers) == 1

    def test_a_retried_request_is_given_the_first_answer(self, api: Api) -> None:
        key = {"Idempotency-Key": "once"}
        first = data(api, "POST", headers=key)
        later = datetime.fromisoformat(first["triggered_at"]) + timedelta(minutes=40)
        api.execute("UPDATE sync_runs SET status = 'completed', started_at = created_at, completed_at = %s", later)
        slower = [{"setting_key": "rate_limit", "setting_value": 1}]
        assert api.call("PUT", f"{SYNC}/settings", json=slower).status_code == 200
        assert data(api, "POST", headers=key) == first
        assert len(api.runs()) == 1

    def test_a_run_of_another_kind_is_in_the_way(self, api: Api) -> None:
        api.add_run("sync_replay", sync="properties", status="running", replay_of="sync_x")
        assert check_error(api.post(SYNC), 409, "conflict")["sync_id"] == "sync_replay"

    def test_without_a_key_of_the_api(self, database_url: str, redis_url: str) -> None:
        with open_api(database_url, redis_url) as api:
            details = check_error(api.post(SYNC), 409, "credentials_not_found")
            assert "CUPID_API_KEY" in details["message"]
            assert api.runs() == []

    def test_switched_off(self, api: Api) -> None:
        data(api, "POST", "/stop")
        check_error(api.post(SYNC), 409, "sync_disabled")
        data(api, "POST", "/start")
        assert data(api, "POST")["sync_started"] is True

    def test_an_open_circuit(self, api: Api) -> None:
        open_circuit(api, "properties", "100 seconds")
        assert 90 <= check_error(api.post(SYNC), 503, "circuit_open")["retry_after"] <= 100

    def test_it_counts_as_a_trigger(self, database_url: str, redis_url: str) -> None:
        with open_api(database_url, redis_url, **CONFIGURED, trigger_rate_limit=2) as api:
            for _ in range(2):
                data(api, "POST")
            check_error(api.post(SYNC), 429, "rate_limit_exceeded")
            status(api)


class TestStatus:
    """GET …/status"""

    def test_before_anything_happened(self, api: Api) -> None:
        assert status(api) == NOTHING_YET

    def test_a_run_and_what_it_did(self, catalogue: Catalogue) -> None:
        run = catalogue.sync()
        found = status(catalogue.api)
        assert (run["status"], found["total_properties"], found["updated_properties"]) == ("completed", 7, 7)
        assert (found["failed_properties"], found["last_error"], found["sync_in_progress"]) == (0, None, False)
        assert datetime.fromisoformat(found["last_sync"]) <= datetime.now(UTC)
        catalogue.sync()
        assert status(catalogue.api)["updated_properties"] == 0

    def test_it_runs_where_the_schedule_is_on_and_a_scheduler_ticks(self, api: Api) -> None:
        align(api)
        assert status(api)["is_running"] is False
        tick(api)
        found = status(api)
        assert found["is_running"] is True
        assert TIME.fullmatch(found["next_sync"])
        api.execute("UPDATE processes SET seen_at = now() - interval '1 minute'")
        assert status(api)["is_running"] is False
        api.execute("UPDATE processes SET seen_at = now()")
        api.patch("/api/v1/schedules/properties", json={"enabled": False})
        assert status(api) | {"sync_interval": "12h"} == NOTHING_YET

    def test_it_does_not_run_where_it_is_not_configured(self, api: Api, database_url: str, redis_url: str) -> None:
        align(api)
        tick(api)
        with open_api(database_url, redis_url) as bare:
            found = status(bare)
            assert (found["is_running"], found["next_sync"]) == (False, None)

    def test_a_run_in_flight(self, api: Api) -> None:
        sync_id = data(api, "POST")["sync_id"]
        found = status(api)
        assert (found["sync_in_progress"], found["sync_id"]) == (True, sync_id)
        api.end_runs()
        assert (status(api)["sync_in_progress"], status(api)["sync_id"]) == (False, None)

    def test_the_counts_are_those_of_the_last_run_that_ended(self, api: Api) -> None:
        values = {"sync": "properties", "records_processed": 70, "records_created": 5, "records_updated": 10}
        add_ended(api, "sync_1", 5 * HOUR, **values)
        first = status(api)["last_sync"]
        add_ended(api, "sync_2", 4 * HOUR, "failed", sync="properties", records_processed=20, records_failed=3)
        api.execute("UPDATE sync_runs SET error_message = 'Cupid is away', records_total = 90 WHERE sync_id = 'sync_2'")
        for name, more in (("dry", {"dry_run": True}), ("undo", {"undo_of": "x"}), ("replay", {"replay_of": "x"})):
            add_ended(api, f"sync_{name}", HOUR, sync="properties", records_processed=1, **more)
        add_ended(api, "sync_other", HOUR, sync="clients", records_processed=1)
        api.add_organization("acme")
        add_ended(api, "sync_acme", HOUR, sync="properties", organization_id="acme", records_processed=1)
        found = status(api)
        assert (found["total_properties"], found["updated_properties"], found["failed_properties"]) == (20, 0, 3)
        assert (found["last_error"], found["last_sync"]) == ("Cupid is away", first)
        add_ended(api, "sync_3", 2 * HOUR, "cancelled", **values)
        found = status(api)
        assert (found["total_properties"], found["updated_properties"]) == (70, 15)
        assert found["last_error"] == "Cupid is away"  # what was cancelled says nothing of the source
        add_ended(api, "sync_4", HOUR, **values)
        assert status(api)["last_error"] is None
        assert status(api)["last_sync"] > first
