"""The stand-in for Cliniko: what changes while it runs, its limit, its faults, its process."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import orjson
import pytest
import urllib3

from syncapp.demo.cliniko import change_something
from syncapp.demo.cliniko_account import Account
from syncapp.demo.cliniko_query import Query
from syncapp.demo.cliniko_records import Practice, make_records
from syncapp.demo.cliniko_shapes import PATIENTS
from tests.cliniko_demo import KEY, NOW, Client, Clock, cliniko
from tests.demo_process import demo_process

RECORDS = make_records(3, patients=60, appointments=150, now=NOW)
LATER = "2026-06-30T13:00:00Z"


@pytest.fixture
def client() -> Iterator[Client]:
    with cliniko({KEY: RECORDS, "other-uk1": RECORDS}) as client:
        yield client


def test_every_change_raises_updated_at(client: Client) -> None:
    client.clock.forward(3600)
    account = client.upstream.account
    account.change("patients", "1", first_name="Zoe")
    account.archive("patients", "2")
    account.cancel("1")
    account.delete("individual_appointments", "2")
    account.archive("appointment_types", "1")
    assert client.get("patients/1")["label"].startswith("Zoe ")
    assert client.ids("patients", f"updated_at:>={LATER}") == ["1"]
    assert client.ids("patients", f"updated_at:>={LATER}", "archived_at:*") == ["1", "2"]
    marks = ("archived_at:*", "deleted_at:*", "cancelled_at:*")
    assert client.ids("individual_appointments", f"updated_at:>={LATER}", *marks) == ["1", "2"]
    assert client.get("appointment_types/1", "archived_at:?")["updated_at"] == LATER
    with pytest.raises(ValueError, match="practitioners have no archived_at"):
        account.archive("practitioners", "1")
    with pytest.raises(KeyError):
        account.change("patients", "0")


def test_updated_at_never_goes_back(client: Client) -> None:
    account = client.upstream.account
    client.clock.forward(3600)
    account.change("patients", "1")
    client.clock.forward(-7200)
    account.change("patients", "1", city="Hobart")
    assert client.get("patients/1")["updated_at"] == LATER


def test_two_patients_become_one(client: Client) -> None:
    account = client.upstream.account
    patient = account.records["individual_appointments"][0]["patient_id"]
    into = "1" if patient != "1" else "2"
    client.clock.forward(3600)
    account.merge(patient, into=into)
    assert client.call(f"patients/{patient}").status == 404
    merged = client.get(f"patients/{patient}", "archived_at:*")
    assert merged["merged_at"] == merged["archived_at"] == merged["updated_at"] == LATER
    assert merged["merged_with_patient"]["links"]["self"].endswith(f"/v1/patients/{into}")
    marks = ("archived_at:*", "deleted_at:*", "cancelled_at:*")
    assert client.ids("individual_appointments", f"patient_id:={patient}", *marks) == []
    assert client.ids("individual_appointments", f"patient_id:={into}", f"updated_at:>={LATER}", *marks)


def test_what_is_added_and_what_is_changed_by_hand(client: Client) -> None:
    account = client.upstream.account
    added = account.add("patients", first_name="New")
    assert client.ids("patients")[-1] == added["id"]
    assert client.get(f"patients/{added['id']}")["notes"] is None
    account.records["patients"][0]["last_name"] = "Byhand"
    account.touch()
    assert client.ids("patients", "last_name:=Byhand") == ["1"]


def test_accounts_share_ids_and_nothing_else(client: Client) -> None:
    api = client.upstream.api
    api.account("other").change("patients", "1", first_name="Elsewhere")
    assert client.get("patients/1")["first_name"] == RECORDS["patients"][0]["first_name"]
    assert client.get("patients/1", key="other-uk1")["first_name"] == "Elsewhere"
    api.add("third-eu1").add("patients", id="1", first_name="Third")
    assert client.get("patients/1", key="third")["first_name"] == "Third"
    gone = api.revoke("other-uk1")
    assert client.call("patients", key="other-uk1").status == 401
    api.accounts["renewed-uk1"] = gone
    assert client.get("patients/1", key="renewed-uk1")["first_name"] == "Elsewhere"


def test_more_requests_than_the_limit_are_refused_until_it_resets(client: Client) -> None:
    api = client.upstream.api
    api.limit = 3
    for _ in range(3):
        assert client.call("businesses").status == 200
        client.clock.forward(10)
    refused = client.call("businesses")
    assert refused.status == 429
    assert refused.headers["X-RateLimit-Reset"] == str(int(NOW.timestamp()) + 60)
    assert "Retry-After" not in refused.headers
    assert client.call("businesses", key="other").status == 200
    client.clock.forward(29.5)
    assert client.call("businesses", key="a-key-of-au").status == 429
    client.clock.forward(0.5)
    assert client.call("businesses").status == 200
    calls = api.requests_of(KEY)
    assert [call.refused for call in calls] == [False, False, False, True, True, False]
    assert [(calls[-1].at - NOW).total_seconds(), calls[-1].path] == [60.0, "/v1/businesses"]
    assert len(client.upstream.requests) == len(calls) + len(api.requests_of("other"))


def test_requests_that_meet_a_fault_count_too(client: Client) -> None:
    client.upstream.api.limit = 2
    client.upstream.fail("status", path="/v1/patients", status=503, times=1)
    assert [client.call("patients").status for _ in range(3)] == [503, 200, 429]


def test_faults_strike_pages(client: Client) -> None:
    upstream = client.upstream
    upstream.fail("status", path="/v1/patients", page=2, status=500, times=1)
    assert [client.call("patients", page=page).status for page in (1, 2, 2)] == [200, 500, 200]
    upstream.fail("loop", path="/v1/patients")
    first = client.get("patients")
    assert client.get(first["links"]["next"])["patients"] == first["patients"]
    upstream.faults.clear()
    upstream.fail("shift", path="/v1/patients", amount=2, times=1)
    assert client.get("patients")["total_entries"] == first["total_entries"] - 2
    upstream.fail("garbage", path="/v1/businesses", amount=3)
    assert client.get("businesses")["businesses"][:3] == [None, 42, "text"]


def test_the_control_routes_are_of_the_first_account(client: Client) -> None:
    assert len(client.get("patients")["patients"]) == 50
    body = orjson.dumps({"upsert": [{"id": "1", "first_name": "Steered", "archived_at": None}], "delete": ["2"]})
    assert client.pool.request("POST", f"{client.upstream.url}/_records/patients", body=body).status == 200
    assert client.get("patients/1")["first_name"] == "Steered"
    assert client.call("patients/2").status == 404


def test_pages_of_a_large_account_are_selected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    selected = []
    select = Query.select
    monkeypatch.setattr(Query, "select", lambda query, rows: selected.append(1) or select(query, rows))
    times = {"created_at": LATER, "updated_at": LATER}
    people = [{"id": str(number), **times} for number in range(1, 20_001)]
    with cliniko({KEY: {"patients": people}}) as client:
        q = ("archived_at:*", f"updated_at:>={LATER}")
        for page in range(1, 6):
            assert client.get("patients", *q, sort="updated_at:asc", page=page)["total_entries"] == 20_000
        assert len(selected) == 1
        client.upstream.account.archive("patients", "7")
        assert client.get("patients")["total_entries"] == 19_999
        assert len(client.get("patients", *q, page=200, per_page=100)["patients"]) == 100


def test_things_happen_in_a_practice() -> None:
    clock = Clock()
    account, practice = Account(RECORDS, clock), Practice(5, NOW)
    seen = set()
    for _ in range(150):
        clock.forward(60)
        before, version = f"{clock.now:%Y-%m-%dT%H:%M:%SZ}", account.version
        seen.add(change_something(account, practice, clock.now))
        assert account.version > version
        changed = [row for rows in account.records.values() for row in rows if row["updated_at"] == before]
        assert changed
    assert len(seen) == 8
    assert len(account.select(Query(PATIENTS))) > 20
    assert len({row["id"] for row in account.records["patients"]}) == len(account.records["patients"])


def test_an_empty_account_gets_its_first_patients() -> None:
    account, practice = Account(), Practice(5, NOW)
    assert [change_something(account, practice, NOW) for _ in range(2)] == ["patient joined"] * 2


def test_as_a_process_that_lives_and_ends_on_sigterm() -> None:
    with demo_process(
        "cliniko", "--patients", "20", "--appointments", "40", "--change-every", "0.05", CLINIKO_DEMO_KEY="from-env-au1"
    ) as (running, url):
        assert running.stdout is not None
        assert running.stdout.readline().startswith("a change: ")
        headers = urllib3.make_headers(basic_auth="from-env:", user_agent="tests (a@example.com)")
        with urllib3.PoolManager(timeout=10) as pool:
            answer = pool.request("GET", f"{url}/practitioners", headers={"Accept": "application/json", **headers})
        assert len(answer.json()["practitioners"]) == 6
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
