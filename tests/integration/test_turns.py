"""Each organization's turn comes once an interval, spread evenly, whatever happens to beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from beat_schedule import BEAT_SCHEDULE
from syncapp.audit import SYSTEM
from syncapp.commands import Triggered
from syncapp.commands.fire import fire
from syncapp.schedules import align_schedules, change_schedule
from tests.integration.api import Api

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Beat:
    """Ticks on a clock that is moved by hand, as RedBeat would: when the schedule says so."""

    def __init__(self, api: Api) -> None:
        self.api, self.now = api, START
        self.started: list[tuple[str, datetime]] = []
        self.align()

    def align(self) -> None:
        align_schedules(self.api.database, self.api.settings, self.clock, BEAT_SCHEDULE)

    def clock(self) -> datetime:
        return self.now

    def fire(self) -> list[Triggered]:
        return fire(self.api.database, self.api.settings, self.clock, "cliniko")

    def tick(self) -> list[str]:
        """Starts what is due; the runs end at once. The organizations."""
        organizations = [run.organization_id for run in self.fire()]
        self.started += [(one, self.now) for one in organizations]
        if organizations:
            self.api.execute("UPDATE sync_runs SET status = 'completed' WHERE status = 'starting'")
        return organizations

    def schedule(self) -> dict[str, Any]:
        return self.api.query("SELECT * FROM schedules WHERE name = 'cliniko'")[0]

    def run_until(self, end: datetime) -> None:
        while (planned := self.schedule()["next_run_at"]) < end:
            self.now = max(planned, self.now)
            self.tick()
        self.now = end


@pytest.fixture
def beat(api: Api) -> Beat:
    return Beat(api)


def add(api: Api, count: int, **values: Any) -> None:
    """Organizations with credentials that were stored just before the clock began."""
    stored = {"valid": True, "updated_at": START} | values
    api.execute("INSERT INTO organizations (id, name) SELECT 'org_' || n, 'x' FROM generate_series(1, %s) n", count)
    api.execute(
        "INSERT INTO credentials (organization_id, provider, secret, valid, updated_at) "
        "SELECT 'org_' || n, 'cliniko', '', %s, %s FROM generate_series(1, %s) n",
        stored["valid"],
        stored["updated_at"],
        count,
    )


@pytest.mark.slow
def test_a_day_of_a_thousand_organizations(api: Api, beat: Beat) -> None:
    """Beat is killed twice: once a standby takes over soon, and ticks come double; once it is away for 25 minutes."""
    add(api, 1_000)
    beat.align()
    beat.run_until(START + 7 * HOUR)
    beat.now += timedelta(seconds=11)  # the standby leads now; the one that was killed had just sent its tick
    with ThreadPoolExecutor(4) as threads:
        doubled = [run for runs in threads.map(lambda _: beat.fire(), range(4)) for run in runs]
    beat.started += [(run.organization_id, beat.now) for run in doubled]
    api.execute("UPDATE sync_runs SET status = 'completed' WHERE status = 'starting'")
    beat.run_until(START + 15 * HOUR)
    beat.now += timedelta(minutes=25)
    beat.run_until(START + 24 * HOUR)

    turns: dict[str, list[datetime]] = defaultdict(list)
    for organization_id, at in beat.started:
        turns[organization_id].append(at)
    assert len(turns) == 1_000
    assert set(map(len, turns.values())) <= {23, 24, 25}  # 24 hours hold 24 turns, the ends may fall into them
    assert len(api.query("SELECT 1 FROM sync_runs")) == len(beat.started)
    late = timedelta(minutes=2)
    for times in turns.values():
        assert [(at - times[0] + late) // HOUR for at in times] == list(
            range(len(times))
        )  # none left out, none doubled
        quiet = [at for at in times if not START + 15 * HOUR <= at <= START + timedelta(hours=15, minutes=26)]
        assert all((at - times[0] + late) % HOUR <= 2 * late for at in quiet)
    parts = Counter((at - START) // timedelta(minutes=5) for _, at in beat.started if at < START + 7 * HOUR)
    assert set(parts) == set(range(7 * 12))
    assert max(parts.values()) < 2 * 1_000 / 12
    assert min(parts.values()) > 0.5 * 1_000 / 12


def test_the_first_turn_comes_within_an_interval(api: Api, beat: Beat) -> None:
    add(api, 40)
    beat.align()
    beat.run_until(START + timedelta(minutes=1))
    assert len(beat.started) < 10
    beat.run_until(START + HOUR + timedelta(minutes=1))
    assert len({one for one, _ in beat.started}) == 40


def test_without_an_organization_nothing_ticks(api: Api, beat: Beat) -> None:
    assert beat.schedule()["next_run_at"] is None
    add(api, 1, valid=False)
    beat.align()
    assert beat.schedule()["next_run_at"] is None
    api.execute("UPDATE credentials SET valid = true")
    beat.align()
    assert beat.schedule()["next_run_at"] is not None


def test_turns_that_were_missed_are_made_up_for_by_one(api: Api, beat: Beat) -> None:
    add(api, 25)
    beat.align()
    beat.now = START + 10 * HOUR
    assert len(beat.tick()) == 25
    assert beat.tick() == []


def test_more_than_can_be_taken_at_once(api: Api, beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncapp.turns.MOST_AT_ONCE", 10)
    monkeypatch.setattr("syncapp.commands.fire.MOST_AT_ONCE", 10)
    add(api, 25)
    beat.align()
    beat.now = START + 10 * HOUR
    assert [len(beat.tick()) for _ in range(4)] == [10, 10, 5, 0]


def test_an_interval_that_changes_holds_at_once(api: Api, beat: Beat) -> None:
    add(api, 30)
    beat.align()
    beat.run_until(START + HOUR)
    change_schedule(api.database, api.settings, beat.clock, "cliniko", SYSTEM, interval="10m")
    beat.started.clear()
    beat.run_until(START + 2 * HOUR)
    counts = Counter(one for one, _ in beat.started)
    assert len(counts) == 30
    assert set(counts.values()) <= {5, 6, 7}


def test_with_a_cron_line_all_come_at_its_time(api: Api, beat: Beat) -> None:
    add(api, 12)
    change_schedule(api.database, api.settings, beat.clock, "cliniko", SYSTEM, cron="0 3 * * *")
    beat.align()
    assert beat.schedule()["next_run_at"] == START + 3 * HOUR
    beat.run_until(START + 26 * HOUR)
    assert {at for _, at in beat.started} == {START + 3 * HOUR}
    assert len(beat.started) == 12
    assert beat.schedule()["next_run_at"] == START + 27 * HOUR


def test_the_mode_is_the_complete_one_where_it_is_due(api: Api, beat: Beat) -> None:
    add(api, 2)
    for stream in ("businesses", "practitioners", "appointment_types", "patients", "appointments"):
        for organization_id, days in (("org_1", 1), ("org_2", 8)):
            api.execute(
                "INSERT INTO stream_states (sync, organization_id, stream, last_complete_at) VALUES (%s, %s, %s, %s)",
                *("cliniko", organization_id, stream, START - timedelta(days=days)),
            )
    beat.align()
    beat.run_until(START + HOUR + timedelta(minutes=1))
    modes = api.query("SELECT DISTINCT organization_id, mode FROM sync_runs WHERE trigger = 'schedule'")
    assert {row["organization_id"]: row["mode"] for row in modes} == {"org_1": "basic", "org_2": "comprehensive"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE organizations SET active = false WHERE id = 'org_1'",
        "UPDATE credentials SET valid = false WHERE organization_id = 'org_1'",
        "DELETE FROM credentials WHERE organization_id = 'org_1'",
        "INSERT INTO circuits (sync, organization_id, open_until) VALUES ('cliniko', 'org_1', now() + interval '1 h')",
        "INSERT INTO sync_runs (sync_id, sync, organization_id, mode, trigger) "
        "VALUES ('sync_x', 'cliniko', 'org_1', 'active', 'manual')",
    ],
)
def test_who_has_no_turn_holds_nobody_up(api: Api, beat: Beat, statement: str) -> None:
    add(api, 3)
    api.execute(statement)
    beat.align()
    beat.now = START + 2 * HOUR
    assert set(beat.tick()) == {"org_2", "org_3"}


def test_the_switch_of_the_schedule_holds_for_the_clock_alone(api: Api, beat: Beat) -> None:
    add(api, 2)
    change_schedule(api.database, api.settings, beat.clock, "cliniko", SYSTEM, enabled=False)
    beat.align()
    assert beat.schedule()["next_run_at"] is None
    beat.now = START + 2 * HOUR
    assert beat.fire() == []
    answer = api.post("/api/v1/cliniko/sync/org_1")
    assert (answer.status_code, answer.get_json()["sync_started"]) == (202, True)


def test_each_organization_sees_what_is_configured_for_it(api: Api) -> None:
    add(api, 1)
    configured = {}
    for organization_id in ("default", "org_1"):
        answer = api.get("/api/v1/syncs", headers={"X-Organization-ID": organization_id}).get_json()
        configured[organization_id] = {sync["name"] for sync in answer["items"] if sync["configured"]}
    assert configured == {"default": {"clients", "appointments"}, "org_1": {"cliniko"}}


def test_who_comes_later_is_not_kept_waiting_for_another_ones_turn(api: Api, beat: Beat) -> None:
    add(api, 1)
    beat.align()
    beat.run_until(START + HOUR)  # the only turn has just been taken, or is about to be
    planned = beat.schedule()["next_run_at"]
    api.execute("INSERT INTO organizations (id, name) SELECT 'new_' || n, 'x' FROM generate_series(1, 60) n")
    api.execute(
        "INSERT INTO credentials (organization_id, provider, secret, updated_at) "
        "SELECT id, 'cliniko', '', %s FROM organizations WHERE id LIKE 'new%%'",
        beat.now,
    )
    beat.align()
    assert beat.schedule()["next_run_at"] < min(planned, beat.now + timedelta(minutes=10))
