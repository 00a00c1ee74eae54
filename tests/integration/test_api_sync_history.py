"""An organization's runs looked back at, and what the scheduler does for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from beat_schedule import BEAT_SCHEDULE
from syncapp.demo.cliniko_records import make_records
from syncapp.schedules import align_schedules
from tests.integration.api import Api, ago, check_error
from tests.integration.cliniko import Practice

HISTORY = {"organization_id", "total_syncs", "successful_syncs", "failed_syncs", "last_sync_at"}
HISTORY |= {"last_successful_sync_at", "average_sync_duration_seconds", "recent_syncs"}
PAST = {"sync_id", "started_at", "completed_at", "status", "records_processed", "records_success", "records_failed"}
NOON = datetime(2025, 6, 30, 12, tzinfo=UTC)
HEADER = {"X-Organization-ID": "acme"}


def add(api: Api, number: int, status: str = "completed", seconds: float = 60, **values: Any) -> str:
    """The run that started `number` hours after noon."""
    at = NOON + timedelta(hours=number)
    ended = at + timedelta(seconds=seconds) if status in ("completed", "failed", "cancelled") else None
    row = {"sync": "cliniko", "organization_id": "acme", "mode": "basic", "status": status}
    row |= {"created_at": at, "started_at": at, "completed_at": ended}
    return api.add_run(f"sync_acme_{number}", **row | values)


def read(api: Api, query: str = "", organization_id: str = "acme") -> dict[str, Any]:
    answer = api.get(f"/api/v1/sync/history/{organization_id}{query}")
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, Any] = answer.get_json()
    assert set(found) == HISTORY
    return found


class TestHistory:
    @pytest.fixture(autouse=True)
    def acme(self, api: Api) -> None:
        api.add_organization("acme")

    def test_before_the_first_run(self, api: Api) -> None:
        nothing = dict.fromkeys(("last_sync_at", "last_successful_sync_at", "average_sync_duration_seconds"))
        counts = dict.fromkeys(("total_syncs", "successful_syncs", "failed_syncs"), 0)
        assert read(api) == {"organization_id": "acme", "recent_syncs": []} | nothing | counts

    def test_all_runs_count(self, api: Api) -> None:
        for number in range(15):
            add(api, number, seconds=number * 10)
        for number, status in ((20, "failed"), (21, "failed"), (22, "cancelled"), (24, "running")):
            add(api, number, status, seconds=5_000)
        found = read(api, "?limit=2")
        assert (found["total_syncs"], found["successful_syncs"], found["failed_syncs"]) == (19, 15, 2)
        assert found["average_sync_duration_seconds"] == 70.0
        assert found["last_sync_at"] == "2025-07-01T12:00:00.000Z"
        assert found["last_successful_sync_at"] == "2025-07-01T02:00:00.000Z"
        assert [one["sync_id"] for one in found["recent_syncs"]] == ["sync_acme_24", "sync_acme_22"]

    def test_dry_runs_replays_and_others_do_not_count(self, api: Api) -> None:
        add(api, 1)
        before = read(api)
        add(api, 2, dry_run=True)
        add(api, 3, replay_of="sync_acme_1")
        add(api, 4, organization_id="default")
        add(api, 5, sync="clients")
        assert read(api) == before
        assert read(api, organization_id="default")["total_syncs"] == 1

    def test_one_of_them(self, api: Api) -> None:
        steps = [{"name": "patients", "records_processed": 651}, {"name": "appointments", "records_processed": 296}]
        counts = {"records_processed": 947, "records_failed": 3, "mode": "comprehensive"}
        add(api, 1, steps=Jsonb(steps), **counts)
        [one] = read(api)["recent_syncs"]
        assert one == {
            "sync_id": "sync_acme_1",
            "started_at": "2025-06-30T13:00:00.000Z",
            "completed_at": "2025-06-30T13:01:00.000Z",
            "status": "completed",
            "records_processed": 947,
            "records_success": 944,
            "records_failed": 3,
            "metadata": {"sync_type": "comprehensive", "patients_processed": 651, "appointments_processed": 296},
        }

    def test_one_that_waits_for_a_worker(self, api: Api) -> None:
        add(api, 1, "starting", started_at=None)
        [one] = read(api)["recent_syncs"]
        assert (one["started_at"], one["completed_at"]) == ("2025-06-30T13:00:00.000Z", None)
        assert one["metadata"] == {"sync_type": "basic"}

    @pytest.mark.parametrize(("query", "count"), [("", 10), ("?limit=1", 1), ("?limit=12", 12), ("?limit=100", 13)])
    def test_the_limit(self, api: Api, query: str, count: int) -> None:
        for number in range(13):
            add(api, number)
        found = read(api, query)["recent_syncs"]
        assert [one["sync_id"] for one in found] == [f"sync_acme_{number}" for number in range(12, 12 - count, -1)]

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "9" * 30])
    def test_a_limit_that_is_none(self, api: Api, limit: str) -> None:
        details = check_error(api.get(f"/api/v1/sync/history/acme?limit={limit}"), 422, "validation_error")
        assert set(details["fields"]) == {"limit"}

    def test_of_an_organization_that_there_is_not(self, api: Api) -> None:
        check_error(api.get("/api/v1/sync/history/nobody"), 404, "not_found")

    def test_of_one_that_is_not_active_any_more(self, api: Api) -> None:
        add(api, 1)
        api.execute("UPDATE organizations SET active = false WHERE id = 'acme'")
        assert read(api)["total_syncs"] == 1


def test_a_run_as_history_has_it(practice: Practice) -> None:
    practice.add("acme", records=make_records(1, patients=50, appointments=70))
    practice.upstream.fail("garbage", path="/v1/patients", amount=3, times=1)
    run = practice.sync("acme", "basic")
    found = read(practice.api)
    assert (found["total_syncs"], found["successful_syncs"]) == (1, 1)
    assert found["average_sync_duration_seconds"] >= 0
    [one] = found["recent_syncs"]
    assert set(one) == PAST | {"metadata"}
    assert (one["records_processed"], one["records_failed"]) == (run["records_processed"], 3)
    assert one["records_success"] == one["records_processed"] - 3
    metadata = one["metadata"]
    assert set(metadata) == {"sync_type", "patients_processed", "appointments_processed"}
    assert metadata["patients_processed"] + metadata["appointments_processed"] == one["records_processed"]


class TestScheduler:
    @pytest.fixture(autouse=True)
    def schedules(self, practice: Practice) -> None:
        practice.add("acme")
        self.align(practice)

    def align(self, practice: Practice) -> None:
        align_schedules(practice.api.database, practice.api.settings, lambda: datetime.now(UTC), BEAT_SCHEDULE)

    def get(self, practice: Practice, organization_id: str = "acme") -> dict[str, Any]:
        answer = practice.api.get("/api/v1/sync/scheduler/status", headers={"X-Organization-ID": organization_id})
        found: dict[str, Any] = answer.get_json()
        assert answer.status_code == 200, found
        names = {"organization_id", "sync_running", "last_sync_time", "next_sync_time", "scheduler_active", "message"}
        assert set(found) == names
        assert found["organization_id"] == organization_id
        return found

    def tick(self, practice: Practice, seconds: float = 0, kind: str = "scheduler") -> None:
        practice.api.execute("DELETE FROM processes")
        practice.api.execute(
            "INSERT INTO processes (name, kind, seen_at) VALUES ('beat@host', %s, %s)",
            kind,
            ago(timedelta(seconds=seconds)),
        )

    def test_without_a_scheduler(self, practice: Practice) -> None:
        found = self.get(practice)
        assert found["scheduler_active"] is False
        assert "nothing starts by itself" in found["message"]

    def test_with_one_that_ticks(self, practice: Practice) -> None:
        self.tick(practice)
        found = self.get(practice)
        assert (found["scheduler_active"], found["message"]) == (True, "Scheduler status retrieved successfully")
        assert (found["sync_running"], found["last_sync_time"]) == (False, None)
        planned = datetime.fromisoformat(found["next_sync_time"])
        assert timedelta() < planned - datetime.now(UTC) <= timedelta(minutes=60)

    @pytest.mark.parametrize(("seconds", "kind"), [(120, "scheduler"), (0, "worker")])
    def test_one_that_has_died(self, practice: Practice, seconds: float, kind: str) -> None:
        self.tick(practice, seconds, kind)
        assert self.get(practice)["scheduler_active"] is False

    def test_a_schedule_that_is_off(self, practice: Practice) -> None:
        self.tick(practice)
        practice.api.patch("/api/v1/schedules/cliniko", json={"enabled": False})
        found = self.get(practice)
        assert (found["scheduler_active"], found["next_sync_time"]) == (False, None)
        assert found["message"] == "The schedule is switched off"

    def test_a_cron_line(self, practice: Practice) -> None:
        self.tick(practice)
        row = practice.api.patch("/api/v1/schedules/cliniko", json={"cron": "0 3 * * *"}).get_json()
        assert self.get(practice)["next_sync_time"] == row["next_run_at"] is not None

    @pytest.mark.parametrize("why", ["no key", "refused", "inactive"])
    def test_an_organization_for_which_nothing_starts(self, practice: Practice, why: str) -> None:
        self.tick(practice)
        change = {
            "no key": "DELETE FROM credentials",
            "refused": "UPDATE credentials SET valid = false",
            "inactive": "UPDATE organizations SET active = false WHERE id = 'acme'",
        }
        practice.api.execute(change[why])
        found = self.get(practice)
        assert found["next_sync_time"] is None
        assert "nothing starts by itself" in found["message"]

    def test_while_a_run_is_in_flight_and_after_it(self, practice: Practice) -> None:
        practice.api.add_run("sync_dry", sync="cliniko", organization_id="acme", status="running", dry_run=True)
        practice.api.add_run("sync_other", sync="clients", organization_id="acme", status="running")
        assert self.get(practice)["sync_running"] is False
        sync_id = practice.start("acme")
        assert self.get(practice)["sync_running"] is True
        practice.api.execute("UPDATE sync_runs SET status = 'completed', completed_at = %s", NOON)
        found = self.get(practice)
        assert (found["sync_running"], found["last_sync_time"]) == (False, "2025-06-30T12:00:00.000Z")
        assert sync_id != ""

    def test_of_an_organization_that_there_is_not(self, practice: Practice) -> None:
        answer = practice.api.get("/api/v1/sync/scheduler/status", headers={"X-Organization-ID": "nobody"})
        check_error(answer, 404, "not_found")

    def test_the_trigger_reads_everything_when_that_is_due(self, practice: Practice) -> None:
        def trigger() -> str:
            answer = practice.api.post("/api/v1/sync/scheduler/trigger", headers=HEADER)
            assert answer.status_code == 202, answer.get_json()
            return str(practice.run(answer.get_json()["sync_id"])["mode"])

        assert trigger() == "comprehensive"
        assert trigger() == "comprehensive"  # the one in flight, for a complete read is due until it has ended
        practice.api.end_runs()
        practice.sync("acme", "comprehensive")
        assert trigger() == "basic"
        practice.api.end_runs()
        practice.api.execute(
            "UPDATE stream_states SET last_complete_at = now() - interval '6 days 23 hours 30 minutes'"
        )
        assert trigger() == "comprehensive"  # the next run would come too late for it
