"""Many organizations at once, each with a key of its own: a large one holds nobody up, and no source is hurried."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import ceil
from typing import Any

import pytest

from syncapp.demo.cliniko_records import make_records
from tests.cliniko_truth import check_equal
from tests.e2e.clinics import PAGE, Clinics, most_within, open_clinics
from tests.e2e.fleet import Fleet
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

A_SECOND = 3  # requests: 180 a minute
SMALL = {"patients": 2 * PAGE, "appointments": PAGE}  # as many pages as a second allows
TIMES_LARGER = 50
KEY = "the-key-of-two-au1"
NAMES = [f"clinic{number}" for number in range(20)]


@pytest.fixture
def clinics(fleet: Fleet) -> Iterator[Clinics]:
    with open_clinics(fleet) as made:
        yield made


def check_pace(clinics: Clinics, key: str, flushes: int) -> None:
    """In any window the buckets that fit, one more, and one for each flush; one request may be late for its bucket."""
    calls = clinics.calls(key)
    assert not any(call.refused for call in calls)
    times = [call.at for call in calls]
    for seconds in (1, 2, 5, 10, 20, 60):
        most = A_SECOND * (ceil(seconds) + 1 + flushes) + 1
        assert most_within(times, seconds) <= min(most, 200), (key, seconds)


def check_rows(clinics: Clinics, organization_id: str, key: str) -> None:
    for resource in ("patients", "individual_appointments"):
        check_equal(clinics.rows, organization_id, resource, clinics.cliniko.api.account(key).records)


def all_completed(clinics: Clinics, runs: list[str]) -> list[dict[str, Any]]:
    ended = [clinics.fleet.ended(sync_id) for sync_id in runs]
    assert {(run["status"], run["attempt"], run["records_failed"]) for run in ended} == {("completed", 1, 0)}
    return ended


def test_small_organizations_are_done_long_before_a_large_one(clinics: Clinics) -> None:
    fleet = clinics.fleet
    larger = {name: TIMES_LARGER * count for name, count in SMALL.items()}
    clinics.add("large", KEY, make_records(100, **larger))
    accounts = {
        name: clinics.add(name, f"{name}-au2", make_records(number, **SMALL)) for number, name in enumerate(NAMES)
    }
    fleet.workers(4)

    large, *small = [clinics.start(name) for name in ("large", *NAMES)]
    last: datetime = max(run["completed_at"] for run in all_completed(clinics, small))
    read = sum(call.at <= last for call in clinics.calls(KEY))
    assert 0 < read < sum(larger.values()) / PAGE / 10

    for account in accounts.values():
        account.change("patients", account.records["patients"][0]["id"], city="Elsewhere")
    small = [clinics.start(name) for name in NAMES]
    assert fleet.queue("sync") > 0
    fleet.flush()
    all_completed(clinics, small)
    assert fleet.run(large)["status"] == "running"
    for name in NAMES:
        check_rows(clinics, name, f"{name}-au2")
        check_pace(clinics, f"{name}-au2", flushes=1)
    check_pace(clinics, KEY, flushes=1)


def test_two_organizations_with_one_key_share_its_pace(clinics: Clinics) -> None:
    """The stand-in counts over a tenth of its minute. Buckets are as large as ever, so it must allow one for the window
    and one for a flush."""
    fleet, api, window = clinics.fleet, clinics.cliniko.api, 6
    api.window, api.limit = float(window), A_SECOND * (window + 2)
    clinics.add("one", KEY, make_records(1, patients=18 * PAGE, appointments=0))
    clinics.add("two", KEY.removesuffix("-au1"))
    fleet.workers(2)
    runs = [clinics.start(name, "patients-only") for name in ("one", "two")]
    for asked in (2 * A_SECOND, (window + 4) * A_SECOND):  # further apart than a window, at this pace
        wait_for(lambda asked=asked: len(clinics.calls(KEY)) >= asked, what=f"{asked} requests")
        fleet.flush()
    for run in all_completed(clinics, runs):
        assert run["records_created"] > 17 * PAGE
        check_equal(clinics.rows, run["organization_id"], "patients", api.account(KEY).records)
    check_pace(clinics, KEY, flushes=2)
