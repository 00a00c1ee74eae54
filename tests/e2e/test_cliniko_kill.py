"""Runs of Cliniko whose workers are killed, stopped or refused in the middle: they go on where they were."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest

from syncapp.demo.cliniko_account import Account
from syncapp.demo.cliniko_records import make_records
from syncapp.engine.readahead import AHEAD
from tests.cliniko_truth import check_equal
from tests.e2e.clinics import PAGE, Clinics, counts, open_clinics, page_of
from tests.e2e.fleet import Fleet, Member
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

KEY = "the-key-of-acme-au4"
PAGES = 6
RECORDS = make_records(1, patients=PAGES * PAGE, appointments=PAGE)
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture
def clinics(fleet: Fleet) -> Iterator[Clinics]:
    """`acme`, and a twin whose runs nobody disturbs."""
    with open_clinics(fleet) as made:
        made.add("acme", KEY, RECORDS)
        made.add("twin", "the-key-of-the-twin-au4", RECORDS)
        yield made


@dataclass
class Watched:
    """A run, and what whoever watched it was shown."""

    clinics: Clinics
    sync_id: str
    shown: list[float] = field(default_factory=list)

    def look(self) -> dict[str, Any]:
        self.shown.append(self.clinics.percentage(self.sync_id))
        return self.clinics.fleet.run(self.sync_id)

    def in_the_middle(self) -> dict[str, Any]:
        """Once some pages are committed, and most are not read."""
        return wait_for(lambda: (run := self.look())["records_processed"] >= 2 * PAGE and run, deadline=60)

    def ended(self) -> dict[str, Any]:
        run = wait_for(lambda: (run := self.look())["status"] in ENDED and run, deadline=60)
        assert run["status"] == "completed", run
        self.look()
        assert self.shown == sorted(self.shown)
        assert self.shown[-1] == 100
        assert len(set(self.shown)) > PAGES / 2
        return run


def kill_all(fleet: Fleet, worker: Member) -> None:
    os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait(10)
    fleet.worker()


def kill_child(fleet: Fleet, worker: Member) -> None:
    (pid,) = worker.children
    os.kill(pid, signal.SIGKILL)


def ask_to_end(fleet: Fleet, worker: Member) -> None:
    assert worker.end(signal.SIGTERM) == 0
    fleet.worker()


def change(account: Account) -> None:
    """What a practice does between two runs; nothing of it may be lost, nor more than that be removed."""
    patients = [one["id"] for one in RECORDS["patients"] if not (one["archived_at"] or one["deleted_at"])]
    visits = [one["id"] for one in RECORDS["individual_appointments"] if not (one["archived_at"] or one["deleted_at"])]
    account.delete("patients", patients[0])
    account.delete("patients", patients[-1])
    account.archive("patients", patients[1])
    account.change("patients", patients[-2], city="Elsewhere")
    account.delete("individual_appointments", visits[0])


def check_pages(clinics: Clinics, sync_id: str, looks: int) -> None:
    """What was committed is not asked for again; what had been read ahead of it may be."""
    events = clinics.events(sync_id)
    begins = [number for number, event in enumerate(events) if event["kind"] in ("started", "resumed")]
    committed = max(event["data"]["pages"] for event in events[: begins[1]] if event["kind"] == "progress")
    assert 2 <= committed < PAGES
    asked = Counter(page_of(call) for call in clinics.calls(KEY) if call.path == "/v1/patients")
    assert set(asked) == set(range(1, PAGES + 1))
    assert {asked[page] for page in range(1, committed + 1)} == {looks}
    assert sum(asked.values()) - looks * PAGES <= AHEAD + 1


def check_rows(clinics: Clinics) -> None:
    for resource in ("patients", "individual_appointments"):
        check_equal(clinics.rows, "acme", resource, clinics.cliniko.api.account(KEY).records)


@pytest.mark.parametrize(("interrupt", "attempts"), [(kill_child, 2), (ask_to_end, 1)])
def test_a_first_load_goes_on_at_its_checkpoint(
    clinics: Clinics, interrupt: Callable[[Fleet, Member], None], attempts: int
) -> None:
    worker = clinics.fleet.worker()
    watched = Watched(clinics, clinics.start("acme"))
    watched.in_the_middle()
    interrupt(clinics.fleet, worker)
    run = watched.ended()
    assert run["attempt"] == attempts
    assert counts(run) == counts(clinics.sync_here("twin"))
    check_pages(clinics, watched.sync_id, looks=1)
    check_rows(clinics)


def test_a_full_refresh_goes_on_after_kill_9_of_everything(clinics: Clinics) -> None:
    """It has something to delete, so it looks twice."""
    for name in ("acme", "twin"):
        clinics.sync_here(name)
    for account in clinics.cliniko.api.accounts.values():
        change(account)
        account.calls.clear()
    worker = clinics.fleet.worker()
    watched = Watched(clinics, clinics.start("acme", full_refresh=True))
    watched.in_the_middle()
    kill_all(clinics.fleet, worker)
    run = watched.ended()
    assert (run["attempt"], run["records_deleted"]) == (2, 3)
    assert counts(run) == counts(clinics.sync_here("twin", full_refresh=True))
    check_pages(clinics, watched.sync_id, looks=2)
    check_rows(clinics)


def test_a_429_parks_the_run_until_the_time_it_names_and_frees_the_worker(clinics: Clinics) -> None:
    fleet, api, window, limit = clinics.fleet, clinics.cliniko.api, timedelta(seconds=4), 2
    api.window = window.total_seconds()
    clinics.add("other", "the-key-of-another-uk1", make_records(2, patients=2 * PAGE, appointments=0))
    fleet.worker()
    watched = Watched(clinics, clinics.start("acme"))
    watched.in_the_middle()
    api.limit = limit
    parked = wait_for(lambda: (run := watched.look())["resume_at"] and run, what="a parked run")
    assert (parked["status"], parked["attempt"], parked["lease_owner"]) == ("running", 0, None)
    assert (parked["error_type"], parked["error_code"]) == ("rate_limit_exceeded", "RATE_LIMIT_EXCEEDED")
    other = fleet.ended(clinics.start("other", "patients-only"))
    assert (other["status"], fleet.run(watched.sync_id)["status"]) == ("completed", "running")
    api.limit = 200
    run = watched.ended()
    assert run["attempt"] == 1
    assert counts(run) == counts(clinics.sync_here("twin"))
    check_rows(clinics)

    calls = clinics.calls(KEY)
    first = next(number for number, call in enumerate(calls) if call.refused)
    for number, call in enumerate(calls):
        if call.refused:
            oldest = [one.at for one in calls[:number] if not one.refused][-limit]
            reset = datetime.fromtimestamp(ceil((oldest + window).timestamp()), UTC)
            assert calls[number + 1].at >= reset
            assert number > first or parked["resume_at"] >= reset
    kinds = Counter(event["kind"] for event in clinics.events(watched.sync_id))
    assert kinds["parked"] == kinds["started"] + kinds["resumed"] - 1 == sum(call.refused for call in calls)
    assert kinds["retrying"] == 0
