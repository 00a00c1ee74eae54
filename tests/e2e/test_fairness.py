"""Organizations that share real workers: small ones do not wait for large ones, and nothing is lost on the way."""

from __future__ import annotations

import pytest

from syncapp.demo.faults import Fault
from syncapp.embedded.valkey import ValkeyServer
from tests.e2e.conftest import CLIENTS
from tests.e2e.fleet import Fleet
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

SMALL = 5  # records
LARGE = ("large0", "large1", "large2")
PAGE_SECONDS = 0.5  # a large run of 40 pages goes on for as long as the small ones may take


@pytest.fixture
def town(fleet: Fleet) -> Fleet:
    """Large runs read clients, which come slowly; small ones read appointments, which do not."""
    fleet.environment |= {"RUN_SLICE": "0.1", "LEASE_SECONDS": "2"}
    fleet.upstream.records["appointments"] += [
        {"id": n, "client_id": n, "time": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
        for n in range(1, SMALL + 1)
    ]
    fleet.upstream.faults.add(Fault("delay", path="/clients", seconds=PAGE_SECONDS))
    return fleet


def accept(fleet: Fleet, name: str, sync: str) -> str:
    fleet.execute("INSERT INTO organizations (id, name) VALUES (%s, %s)", name, name)
    return fleet.accept(name, name, sync=sync)


def test_small_runs_do_not_wait_for_large_ones(town: Fleet) -> None:
    for name in LARGE:
        accept(town, name, "clients")
    town.worker(concurrency=2)
    held = "SELECT sync_id FROM sync_runs WHERE lease_owner IS NOT NULL AND records_processed > 0"
    wait_for(lambda: len(town.rows(held)) == 2, what="large runs on both children")
    small = [accept(town, f"small{n}", "appointments") for n in range(10)]
    for name in small:
        run = town.ended(name)
        assert (run["status"], run["attempt"], run["records_created"]) == ("completed", 1, SMALL)
    assert {town.run(name)["status"] for name in LARGE} <= {"starting", "running"}
    town.upstream.faults.clear()
    for name in LARGE:
        run = town.ended(name)
        assert (run["status"], run["attempt"], run["records_processed"]) == ("completed", 1, CLIENTS)
        assert run["records_created"] == CLIENTS
        assert town.missing_clients(name) == (set(), set())
        events = town.rows("SELECT seq, kind FROM run_events WHERE sync_id = %s ORDER BY seq", name)
        assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    kinds = town.rows("SELECT DISTINCT sync_id FROM run_events WHERE kind = 'yielded'")
    assert len(kinds) >= 2


def test_a_run_keeps_its_worker_while_redis_is_away(town: Fleet, valkey: ValkeyServer) -> None:
    """Those it would leave it to could not be told."""
    accept(town, LARGE[0], "clients")
    worker = town.worker()
    wait_for(lambda: town.run(LARGE[0])["records_processed"], what="a run in the middle")
    valkey.kill()
    worker.says("redis.away")
    accept(town, "small", "appointments")
    wait_for(lambda: worker.text.count("redis.away") == 2, what="a run that asked for Redis before it gave way")
    town.upstream.faults.clear()
    run = town.ended(LARGE[0])
    assert (run["status"], run["attempt"], run["records_created"]) == ("completed", 1, CLIENTS)
    assert not town.rows("SELECT 1 FROM run_events WHERE kind = 'yielded'")
    valkey.start(60)
    assert town.ended("small")["status"] == "completed"
