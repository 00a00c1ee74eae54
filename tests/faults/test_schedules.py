"""Beat that is killed, and Valkey that forgets the schedules: none vanishes, doubles or comes back by itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.faults.audit import assert_mirrors_source
from tests.faults.stack import Stack
from tests.waiting import wait_for

ENTRY = "syncapp:beat:{}"
TICKS = "SELECT seen_at FROM processes WHERE kind = 'scheduler'"


def schedule(stack: Stack, name: str) -> dict[str, Any]:
    return stack.rows("SELECT * FROM schedules WHERE name = %s", name)[0]


def wait_for_mirror(stack: Stack, *names: str) -> None:
    """Until RedBeat holds the schedules with these names, and no others."""

    def mirrored() -> bool:
        with stack.redis() as client:
            found = client.zrange("syncapp:beat::schedule", 0, -1)
            entries = all(client.exists(ENTRY.format(name)) for name in names)
        return entries and sorted(found) == sorted(ENTRY.format(name).encode() for name in names)  # type: ignore[arg-type]

    wait_for(mirrored, deadline=30, what=f"{names} in RedBeat")


def miss(stack: Stack, name: str) -> None:
    """The schedule should have run last at yesterday's midnight, and several times since."""
    missed = "date_trunc('day', now(), 'UTC') - interval '1 day'"
    stack.execute(f"UPDATE schedules SET next_run_at = {missed} WHERE name = %s", name)


def runs_of_the_schedule(stack: Stack) -> list[dict[str, Any]]:
    return stack.rows("SELECT * FROM sync_runs ORDER BY created_at")


def ticks(stack: Stack, count: int) -> None:
    """Until beat has said so many times that it goes on ticking."""
    seen: set[datetime] = set()

    def look() -> bool:
        seen.update(row["seen_at"] for row in stack.rows(TICKS))
        return len(seen) > count

    wait_for(look, deadline=60, every=0.1, what=f"{count} signs of life of beat")


def assert_caught_up_once(stack: Stack, name: str) -> None:
    run = wait_for(lambda: runs_of_the_schedule(stack), deadline=40, what="the run of the schedule")[0]
    stack.ended(run["sync_id"])
    ticks(stack, 1)
    [run] = runs_of_the_schedule(stack)
    assert (run["sync"], run["trigger"], run["status"]) == (name, "schedule", "completed")
    assert_mirrors_source(stack, name)
    row = schedule(stack, name)
    assert row["last_run_at"] is not None
    assert row["next_run_at"] > run["created_at"]


def test_beat_is_killed_and_what_it_missed_is_caught_up_once(stack: Stack) -> None:
    stack.upstream.hurry()
    beat = stack.start_beat()
    stack.start_worker()
    wait_for_mirror(stack, "clients", "appointments")
    beat.says("beat.leads")
    beat.kill()
    miss(stack, "clients")
    stack.start_beat()  # it waits for the dead one's lock to expire
    assert_caught_up_once(stack, "clients")


def test_valkey_forgets_the_schedules_and_they_come_back(stack: Stack) -> None:
    stack.upstream.hurry()
    beat = stack.start_beat()
    stack.start_worker()
    wait_for_mirror(stack, "clients", "appointments")
    stack.flush()
    miss(stack, "appointments")
    assert_caught_up_once(stack, "appointments")
    wait_for_mirror(stack, "clients", "appointments")
    assert beat.alive


def test_a_disabled_schedule_stays_disabled_whatever_restarts(stack: Stack) -> None:
    stack.start_worker()
    status, answer = stack.ask("PATCH", "/api/v1/schedules/clients", {"enabled": False, "cron": "*/5 * * * *"})
    assert (status, answer["enabled"]) == (200, False)
    wait_for_mirror(stack, "appointments")
    stack.end_everything()
    stack.flush()
    stack.kill_valkey()
    stack.postgres.restart()
    stack.valkey.start()
    stack.start_beat()
    stack.start_worker()
    stack.have_api()
    wait_for_mirror(stack, "appointments")
    ticks(stack, 1)
    row = schedule(stack, "clients")
    assert (row["enabled"], row["cron"], row["next_run_at"]) == (False, "*/5 * * * *", None)
    assert runs_of_the_schedule(stack) == []
    status, answer = stack.ask("POST", "/api/v1/sync/clients")
    assert (status, answer["details"]["error_type"]) == (409, "sync_disabled")
