"""The properties' schedule over the API: on, with an interval, and off with all that is in flight."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.administration import CONFIGURED, NOTHING_YET, SYNC, align, data, status
from tests.integration.api import Api, ago, check_error, open_api
from tests.integration.properties import Catalogue, open_catalogue
from tests.integration.test_mirror import World
from tests.waiting import wait_for

HOUR = timedelta(hours=1)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[Api]:
    with open_api(database_url, redis_url, **CONFIGURED) as made:
        yield made


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, 7, sync_batch_size=3) as made:
        yield made


class TestSwitch:
    """POST …/start and …/stop"""

    def test_an_interval_holds_everywhere(self, api: Api, redis_url: str, database_url: str) -> None:
        before = datetime.now(UTC)
        found = data(api, "POST", "/start?interval=24h")
        assert set(found) == {*NOTHING_YET, "message"}
        assert (found["sync_interval"], found["message"]) == ("24h", "The schedule is on: 24h")
        planned = datetime.fromisoformat(found["next_sync"])
        assert abs(planned - before - 24 * HOUR) < timedelta(seconds=30)
        assert status(api)["sync_interval"] == "24h"
        [row] = api.query("SELECT * FROM schedules WHERE name = 'properties'")
        assert (row["interval_seconds"], row["cron"], row["enabled"]) == (86_400, None, True)
        self.check_mirror(api, redis_url)
        with open_api(database_url, redis_url, **CONFIGURED, sync_interval=3_600) as restarted:
            self.check_mirror(restarted, redis_url)
            assert status(restarted)["next_sync"] == found["next_sync"]
            assert status(restarted)["sync_interval"] == "24h"

    def check_mirror(self, api: Api, redis_url: str) -> None:
        """RedBeat holds what the table says, after FLUSHALL too; of what is switched off nothing."""
        world = World(redis_url)
        try:
            for _ in range(2):
                row = align(api)["properties"]
                world.reflect(row)
                assert world.entry("properties").schedule.run_every == 24 * HOUR
                assert world.due("properties") == row.next_run_at
                world.redis.flushall()
        finally:
            world.close()

    def test_what_is_stopped_leaves_the_mirror_and_starts_nothing_by_itself(self, api: Api, redis_url: str) -> None:
        world = World(redis_url)
        align(api)
        world.reflect(align(api)["properties"])
        assert world.due("properties") is not None
        data(api, "POST", "/stop")
        for _ in range(2):
            world.reflect(align(api)["properties"])
            assert world.due("properties") is None
            world.redis.flushall()
        world.close()

    def test_without_an_interval_it_stays(self, api: Api) -> None:
        data(api, "POST", "/start?interval=6h")
        data(api, "POST", "/stop")
        assert data(api, "POST", "/start")["sync_interval"] == "6h"
        api.patch("/api/v1/schedules/properties", json={"cron": "0 */8 * * *"})
        assert data(api, "POST", "/start")["sync_interval"] == "0 */8 * * *"
        assert data(api, "POST", "/start?interval=7d")["sync_interval"] == "7d"

    @pytest.mark.parametrize(
        "interval",
        ["", "4m", "4m59s", "8d", "7d1s", "0", "-5m", "soon", "NaN", "inf", "1e9", "9" * 33, "%00", "5%C3%BC", "[1]"],
    )
    def test_what_is_no_interval(self, api: Api, interval: str) -> None:
        details = check_error(api.post(f"{SYNC}/start?interval={interval}"), 422, "validation_error")
        assert set(details["fields"]) == {"interval"}
        assert api.query("SELECT * FROM schedules") == []

    def test_a_parameter_of_another_name_is_no_interval(self, api: Api) -> None:
        check_error(api.post(f"{SYNC}/start?intervall=6h"), 422, "validation_error")

    def test_a_run_that_nobody_holds_ends_at_once(self, api: Api) -> None:
        sync_id = data(api, "POST")["sync_id"]
        dry = api.post("/api/v1/runs", json={"sync": "properties", "dry_run": True}).get_json()["sync_id"]
        other = api.post("/api/v1/sync/clients").get_json()["sync_id"]
        found = data(api, "POST", "/stop")
        assert (found["message"], found["sync_in_progress"]) == ("The schedule is off", False)
        states = {run["sync_id"]: run["status"] for run in api.runs()}
        assert states == {sync_id: "cancelled", dry: "cancelled", other: "starting"}

    def test_a_run_that_is_held_stops_after_its_batch(self, api: Api) -> None:
        held = {"status": "running", "lease_expires_at": ago(-HOUR), "lease_owner": "w"}
        api.add_run("sync_x", sync="properties", **held)
        found = data(api, "POST", "/stop")
        assert found["message"] == "The schedule is off; the run in flight ends its batch and stops"
        assert (found["sync_in_progress"], found["sync_id"]) == (True, "sync_x")
        assert api.runs()[0]["cancel_requested_at"] is not None

    def test_it_is_told_who_did_it(self, api: Api) -> None:
        data(api, "POST")
        data(api, "POST", "/stop", headers={"X-Request-ID": "r"})
        data(api, "POST", "/stop")
        found = api.query("SELECT action, target, request_id, details FROM audit_log ORDER BY id")[1:]
        assert [(entry["action"], entry["target"], entry["request_id"]) for entry in found] == [
            ("schedule.changed", "properties", "r"),
            ("runs.stopped", "properties", "r"),
        ]
        assert found[0]["details"] == {"before": {"enabled": True}, "after": {"enabled": False}}

    def test_in_mid_run_it_ends_within_a_batch(self, catalogue: Catalogue) -> None:
        """Of three batches, the second is being read."""
        sync_id = data(catalogue.api, "POST")["sync_id"]
        catalogue.upstream.fail("delay", path=f"/v3.0/property/{catalogue.ids[3]}", seconds=1.0, times=1)
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(catalogue.work, sync_id)
            watcher = catalogue.api.again()
            wait_for(lambda: catalogue.run(sync_id)["records_processed"] == 3, what="the first batch")
            assert data(watcher, "POST", "/stop")["sync_id"] == sync_id
        run, rows = ended.result(), len(catalogue.rows())
        assert (run["status"], run["error_type"], run["records_processed"]) == ("cancelled", "cancelled", rows)
        assert rows in (3, 6)
        check_error(watcher.post(SYNC), 409, "sync_disabled")
