"""The hotel catalogue with real workers, scheduler and web server: changed, put back, stopped, interrupted."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import orjson
import pytest

from tests.e2e.fleet import Fleet
from tests.e2e.hotels import Asked, Here, Hotels, batches, counts, open_here, open_hotels, split_at
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

PROPERTIES = 100
SIZES = range(50_000, 150_001)  # bytes
WRITES = "SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = 'properties'"
RUNS = "SELECT sync_id FROM sync_runs WHERE sync = 'properties'"
# Shorter than anybody may set it over the API.
EVERY_TWO_SECONDS = """
INSERT INTO schedules (name, interval_seconds, next_run_at) VALUES ('properties', 2, now())
ON CONFLICT (name) DO UPDATE SET interval_seconds = 2, next_run_at = now()"""
TICKING = "SELECT 1 FROM processes WHERE kind = 'scheduler' AND seen_at > started_at + interval '3 seconds'"
SYNCS = {"appointments", "clients"}  # of the others, those that are configured
DAY = 86_400
LATENCY = 0.2  # seconds


def as_read(rows: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Without what says when, where and how often they were written."""
    ours = {"last_synced", "last_synced_at", "last_updated", "data_version", "row_hash", "ctid", "xmin"}
    return {key: {name: row[name] for name in row.keys() - ours} for key, row in rows.items()}


def parts_of(property_id: int) -> set[str]:
    """The paths of a property, in the one language of these tests."""
    own, reviews = f"/v3.0/property/{property_id}", f"/v3.0/property/reviews/{property_id}/1000000"
    return {own, reviews, f"{own}/lang/fr"}


def test_a_hundred_properties_are_written_where_they_changed_and_put_back(fleet: Fleet) -> None:
    variables = {"SYNC_RATE_LIMIT": "100", "CUPID_LANGUAGES": "fr"}
    with open_here(PROPERTIES) as cupid, open_hotels(fleet, cupid.server.url, cupid.ids, **variables) as made:
        assert {len(orjson.dumps(one)) in SIZES for one in cupid.server.records["properties"]} == {True}
        (worker,) = made.open()
        check_first(made)
        check_unchanged(made, cupid)
        changes = check_changes(made, cupid)
        check_undo(made, *changes)
        worker.end()  # and has told PostgreSQL all that it did
        assert fleet.rows(WRITES) == [{"n_tup_ins": PROPERTIES, "n_tup_upd": 2 * 3, "n_tup_del": 0}]


def check_first(hotels: Hotels) -> None:
    run = hotels.sync()
    assert (run["status"], counts(run)) == ("completed", (PROPERTIES, PROPERTIES, 0, 0, 0, 0))
    rows = hotels.rows()
    assert sorted(rows) == hotels.ids
    assert {row["data_version"] for row in rows.values()} == {1}


def check_unchanged(hotels: Hotels, cupid: Here) -> None:
    """Every row lies where it lay: not one was written."""
    before = hotels.rows()
    cupid.server.requests.clear()
    run = hotels.sync()
    assert (run["status"], counts(run)) == ("completed", (PROPERTIES, 0, 0, PROPERTIES, 0, 0))
    expected = {path for one in hotels.ids for path in parts_of(one)}
    assert Counter(one.path for one in cupid.asked()) == dict.fromkeys(expected, 1)
    assert all(one.conditional for one in cupid.asked())
    assert hotels.rows() == before


def check_changes(hotels: Hotels, cupid: Here) -> tuple[str, dict[int, dict[str, Any]]]:
    """The run that found them among all others, read whole and compared; and the rows as they had been."""
    before = hotels.rows()
    first, second, third = hotels.ids[7], hotels.ids[50], hotels.ids[99]
    room = cupid.hotel(second)["rooms"][1]
    one, other = cupid.hotel(first), cupid.hotel(third)
    expected = {
        first: ("stars", one["stars"], one["stars"] + 1),
        second: (f"rooms[{room['id']}].max_adults", room["max_adults"], room["max_adults"] + 1),
        third: ("address.city", other["address"]["city"], "Elsewhere"),
    }
    with cupid.server.lock:
        one["stars"] += 1
        room["max_adults"] += 1
        other["address"]["city"] = "Elsewhere"
    run = hotels.sync(full_refresh=True)
    assert (run["status"], counts(run)) == ("completed", (PROPERTIES, 0, 3, PROPERTIES - 3, 0, 0))
    told = hotels.ask("GET", f"/api/v1/runs/{run['sync_id']}/changes")
    shown = {int(one["external_id"]): (one["operation"], one["before"], one["after"]) for one in told["items"]}
    assert (told["total"], shown) == (
        3,
        {key: ("updated", {name: old}, {name: new}) for key, (name, old, new) in expected.items()},
    )
    for key, change in expected.items():
        assert history(hotels, key)[0] == (run["sync_id"], "updated", *change)
    rows = hotels.rows()
    assert {key for key in rows if rows[key] != before[key]} == expected.keys()
    assert {key: row["data_version"] for key, row in rows.items()} == dict.fromkeys(hotels.ids, 1) | dict.fromkeys(
        expected, 2
    )
    return run["sync_id"], before


def history(hotels: Hotels, property_id: int) -> list[tuple[Any, ...]]:
    data = hotels.ask("GET", f"/api/v1/admin/properties/{property_id}/changes")["data"]
    assert data["total"] == len(data["items"])
    names = ("sync_id", "operation", "field", "old", "new")
    return [tuple(one[name] for name in names) for one in data["items"]]


def check_undo(hotels: Hotels, sync_id: str, before: dict[int, dict[str, Any]]) -> None:
    """All is as it was before the run, and the history tells both."""
    changed = hotels.rows()
    undone = hotels.undo(sync_id)
    assert (undone["status"], counts(undone)) == ("completed", (3, 0, 3, 0, 0, 0))
    rows = hotels.rows()
    assert as_read(rows) == as_read(before)
    keys = {key for key in rows if rows[key]["data_version"] == 3}
    assert {key for key in rows if rows[key] != changed[key]} == keys
    assert len(keys) == 3
    hotels.ask("POST", f"/api/v1/runs/{sync_id}/undo", status=409)
    for key in keys:
        back, there, created = history(hotels, key)
        assert (back[0], there[0]) == (undone["sync_id"], sync_id)
        assert (back[1:3], back[3:]) == (there[1:3], (there[4], there[3]))
        assert created[1:3] == ("created", None)


@pytest.fixture
def forty(fleet: Fleet) -> Iterator[tuple[Here, Hotels]]:
    """A batch is one property: several are read between two heartbeats, none so fast that the end is not far away."""
    variables = {"SYNC_BATCH_SIZE": "1", "SYNC_RATE_LIMIT": "15", "CUPID_LANGUAGES": "fr"}
    with open_here(40) as cupid, open_hotels(fleet, cupid.server.url, cupid.ids, **variables) as made:
        yield cupid, made


def test_stop_ends_a_run_and_the_schedule_for_good_and_start_begins_it(forty: tuple[Here, Hotels]) -> None:
    cupid, hotels = forty
    hotels.open(beat=True)
    hotels.fleet.execute(EVERY_TWO_SECONDS)
    sync_id = wait_for(lambda: hotels.admin("GET", "/status")["sync_id"], what="a run of the schedule")
    hotels.wait_for_pages(sync_id, 2)
    told = hotels.admin("POST", "/stop")
    assert (told["sync_in_progress"], told["sync_id"], told["next_sync"]) == (True, sync_id, None)
    check_stopped(hotels, cupid, sync_id)
    restart(hotels)
    check_off(hotels, sync_id)

    told = hotels.admin("POST", "/start?interval=24h")
    assert told["sync_interval"] == "24h"
    check_on(hotels, told["next_sync"])
    restart(hotels)
    check_on(hotels, told["next_sync"])
    assert hotels.fleet.rows(RUNS) == [{"sync_id": sync_id}]


def restart(hotels: Hotels) -> None:
    """Of everything, with a Redis that has forgotten everything. When this returns, the other schedules are back."""
    hotels.close()
    hotels.fleet.flush()
    hotels.open(beat=True)
    wait_for(lambda: hotels.scheduled().keys() >= SYNCS, what="the schedules in RedBeat")


def check_stopped(hotels: Hotels, cupid: Here, sync_id: str) -> None:
    """What was under way may be kept, and nothing more is asked for than what was read ahead."""
    run = hotels.ended(sync_id)
    assert (run["status"], run["error"]["error_type"]) == ("cancelled", "cancelled")
    kinds = [event["kind"] for event in hotels.events(sync_id)]
    after = kinds[kinds.index("cancel_requested") + 1 :]
    assert after in (["cancelled"], ["progress", "cancelled"])
    pages = hotels.pages(sync_id)
    assert set(pages) == {1}
    assert run["records_processed"] == len(pages) == len(hotels.rows()) < len(hotels.ids) / 2
    begun = batches(cupid.asked(), repeat(1))
    assert len(pages) <= len(begun) <= len(pages) + 2  # one that was read ahead, and the next one


def check_off(hotels: Hotels, sync_id: str) -> None:
    """Also when beat has been ticking for longer than the schedule's interval."""
    wait_for(lambda: hotels.fleet.rows(TICKING), what="a scheduler that ticks")
    status = hotels.admin("GET", "/status")
    assert (status["is_running"], status["sync_in_progress"], status["next_sync"]) == (False, False, None)
    assert hotels.scheduled().keys() == SYNCS
    assert hotels.settings()["enable_auto"] == "false"
    assert hotels.fleet.rows(RUNS) == [{"sync_id": sync_id}]


def check_on(hotels: Hotels, next_sync: str) -> None:
    status = wait_for(
        lambda: (found := hotels.admin("GET", "/status"))["is_running"] and found, what="a schedule that is on"
    )
    assert (status["sync_interval"], status["next_sync"]) == ("24h", next_sync)
    entry = wait_for(lambda: hotels.scheduled().get("properties"), what="the schedule in RedBeat")
    assert (entry["schedule"]["every"], entry["enabled"]) == (DAY, True)
    settings = hotels.settings()
    assert (settings["sync_interval"], settings["enable_auto"]) == ("24h", "true")


def test_a_run_goes_on_after_its_last_batch_and_takes_settings_up_in_the_middle(forty: tuple[Here, Hotels]) -> None:
    cupid, hotels = forty
    cupid.server.fail("delay", seconds=LATENCY)
    (worker,) = hotels.open()
    hotels.put(batch_size=3, max_concurrent=2, rate_limit=100)
    sync_id = hotels.start()
    hotels.wait_for_pages(sync_id, 2)
    hotels.put(batch_size=4, max_concurrent=6)
    changed = len(cupid.asked())
    hotels.wait_for_pages(sync_id, len(hotels.pages(sync_id)) + 3)
    (pid,) = worker.children
    os.kill(pid, signal.SIGKILL)
    run = hotels.ended(sync_id)
    total = len(hotels.ids)
    assert (run["status"], run["attempt"], counts(run)) == ("completed", 2, (total, total, 0, 0, 0, 0))
    assert sorted(hotels.rows()) == hotels.ids
    committed = sum(hotels.pages(sync_id, until="resumed"))
    check_asked_once(hotels, cupid, committed)
    first, second = attempts(cupid.asked(), hotels.ids[committed])
    pages = hotels.pages(sync_id, until="resumed")
    before, after = split_at(batches(first, chain(pages, repeat(4))), changed)
    after += batches(second, repeat(4))
    sizes = [3] * len(before) + [4] * total
    assert hotels.pages(sync_id)[:-1] == sizes[: len(hotels.pages(sync_id)) - 1]
    assert max(map(at_once, before)) == 2
    assert max(map(at_once, after)) == 6


def check_asked_once(hotels: Hotels, cupid: Here, committed: int) -> None:
    """What a committed batch brought is not asked for again; what had been read ahead of it may be."""
    asked = Counter(one.path for one in cupid.asked())
    for place, property_id in enumerate(hotels.ids):
        most = 1 if place < committed else 2
        paths = parts_of(property_id)
        assert asked.keys() >= paths
        assert max(asked[path] for path in paths) <= most, property_id


def attempts(asked: Sequence[Asked], next_id: int) -> tuple[list[Asked], list[Asked]]:
    """What was asked before and after the kill: the second attempt begins with that property."""
    begins = max(place for place, one in enumerate(asked) if one.property_id == next_id)
    return list(asked[:begins]), list(asked[begins:])


def at_once(batch: Sequence[Asked]) -> int:
    """The most requests of a batch that were under way together: none is answered before the latency is over."""
    return max(sum(one.at - timedelta(seconds=LATENCY) < other.at <= one.at for other in batch) for one in batch)
