"""Every record of an account arrives as it is there: archived, deleted, cancelled and merged ones too."""

from __future__ import annotations

from typing import Any

import pytest

from syncapp.demo.cliniko_records import make_records
from syncapp.demo.faults import Records
from syncapp.engine import execute
from tests.cliniko_truth import REFERENCES, TABLES, check_equal
from tests.integration.cliniko import KEY, Practice


@pytest.fixture(scope="module")
def records() -> Records:
    return make_records(1, patients=230, appointments=450)


def test_a_comprehensive_run_reads_everything(practice: Practice, records: Records) -> None:
    account = practice.add("acme", records=records)
    run = practice.sync("acme", "comprehensive")
    assert (run["status"], run["records_failed"], run["error_message"]) == ("completed", 0, None)
    for resource in TABLES:
        check_equal(practice.rows, "acme", resource, account.records)
    patients = practice.rows("patients", "acme").values()
    assert any(row["archived_at"] for row in patients)
    assert any(row["merged_with_patient_id"] for row in patients)
    assert any(row["custom_fields"] for row in patients)
    appointments = practice.rows("cliniko_appointments", "acme").values()
    assert any(row["cancelled_at"] and row["deleted_at"] is None for row in appointments)
    assert any(row["deleted_at"] for row in appointments)
    assert not any(row["active"] for row in practice.rows("practitioners", "acme").values() if row["active"] is None)
    assert {row["active"] for row in practice.rows("practitioners", "acme").values()} == {True, False}
    assert run["records_created"] + run["records_deleted"] == run["records_processed"]


def test_a_second_comprehensive_run_changes_nothing(practice: Practice, records: Records) -> None:
    practice.add("acme", records=records)
    first = practice.sync("acme", "comprehensive")
    again = practice.sync("acme", "comprehensive")
    assert again["records_unchanged"] == again["records_processed"] == first["records_processed"]


def test_an_incremental_run_makes_only_the_requests_it_needs(practice: Practice) -> None:
    """Of 10,000 patients 1 % change: their 100 fit on one page, and no appointment changed."""
    account = practice.add("acme", records=make_records(1, patients=10_000, appointments=500))
    practice.sync("acme", "basic")
    practice.paths()
    known = [key for key, row in practice.rows("patients", "acme").items() if row["archived_at"] is None]
    for key in known[:99]:
        account.change("patients", key, city="Elsewhere")
    run = practice.sync("acme", "basic")
    assert practice.paths() == ["patients", "individual_appointments"]
    assert (run["records_updated"], run["records_created"], run["records_deleted"]) == (99, 0, 0)
    assert run["records_processed"] < 150


def test_every_kind_of_change_arrives_incrementally(practice: Practice, records: Records) -> None:
    account = practice.add("acme", records=records)
    practice.sync("acme", "comprehensive")
    patients = [key for key, row in practice.rows("patients", "acme").items() if row["archived_at"] is None]
    visits = [
        key
        for key, row in practice.rows("cliniko_appointments", "acme").items()
        if not (row["archived_at"] or row["cancelled_at"] or row["deleted_at"])
    ]
    account.archive("patients", patients[0])
    account.merge(patients[1], patients[2])
    account.cancel(visits[0], reason=30, note="a cold")
    account.delete("individual_appointments", visits[1])
    account.archive("individual_appointments", visits[2])
    run = practice.sync("acme", "basic")
    assert run["records_deleted"] >= 1  # and whatever changed of what was deleted before
    rows = practice.rows("patients", "acme")
    assert rows[patients[0]]["archived_at"] is not None
    assert rows[patients[1]]["merged_with_patient_id"] == patients[2]
    found = practice.rows("cliniko_appointments", "acme")
    assert (found[visits[0]]["cancellation_note"], found[visits[0]]["deleted_at"]) == ("a cold", None)
    assert found[visits[1]]["deleted_at"] is not None
    assert found[visits[2]]["archived_at"] is not None
    for resource in TABLES:
        check_equal(practice.rows, "acme", resource, account.records)


def test_a_patient_that_was_deleted_leaves_with_a_complete_read(practice: Practice, records: Records) -> None:
    """A list of patients cannot be asked for deleted ones: what a complete read does not bring is gone."""
    account = practice.add("acme", records=records)
    practice.sync("acme", "comprehensive")
    gone = next(iter(practice.rows("patients", "acme")))
    account.delete("patients", gone)
    practice.sync("acme", "basic")
    assert practice.rows("patients", "acme")[gone]["deleted_at"] is None
    run = practice.sync("acme", "comprehensive")
    assert run["status"] == "completed"
    assert practice.rows("patients", "acme")[gone]["deleted_at"] is not None


def test_appointments_that_come_before_their_patients(practice: Practice, records: Records) -> None:
    account = practice.add("acme", records=records)
    practice.sync("acme", "active")
    waiting = practice.api.query("SELECT 1 FROM practitioners WHERE sync_status = 'pending'")
    assert waiting
    practice.sync("acme", "comprehensive")
    assert practice.api.query("SELECT 1 FROM practitioners WHERE sync_status = 'pending'") == []
    check_equal(practice.rows, "acme", "individual_appointments", account.records)


def test_active_reads_a_window_and_the_patients_it_names(practice: Practice, records: Records) -> None:
    practice.add("acme", records=records)
    practice.paths()
    run = practice.sync("acme", "active")
    assert run["status"] == "completed"
    rows = practice.rows("cliniko_appointments", "acme")
    assert 0 < len(rows) < len(records["individual_appointments"])
    window = "SELECT min(starts_at) > now() - interval '45 days 1 minute' AS begins, "
    window += "max(starts_at) < now() + interval '30 days 1 minute' AS ends FROM cliniko_appointments"
    assert practice.api.query(window) == [{"begins": True, "ends": True}]
    named = {row["patient_id"] for row in rows.values()} - {None}
    patients = practice.rows("patients", "acme")
    assert {row["id"] for row in patients.values()} == named
    assert {row["sync_status"] for row in patients.values()} == {"synced"}
    pages = -(-len(rows) // 100) + -(-len(named) // 100)
    assert len(practice.paths()) == pages
    assert practice.api.query("SELECT * FROM stream_states") == []  # no cursor moved


def test_patients_only(practice: Practice, records: Records) -> None:
    practice.add("acme", records=records)
    practice.paths()
    practice.sync("acme", "patients-only")
    assert set(practice.paths()) == {"patients"}


@pytest.mark.parametrize("asked", [{"full_refresh": True}, {"since": "2025-01-01T00:00:00Z"}])
def test_a_window_is_not_asked_for_something_else(practice: Practice, asked: dict[str, Any]) -> None:
    practice.add("acme")
    body = {"sync": "cliniko", "organization_id": "acme", "mode": "active", **asked}
    answer = practice.api.post("/api/v1/runs", json=body)
    assert answer.status_code == 422
    assert set(answer.get_json()["details"]["fields"]) == set(asked)


def test_two_organizations_with_the_same_ids(practice: Practice, records: Records) -> None:
    """Each row is its own organization's, and refers to rows of its own alone."""
    other = make_records(2, patients=180, appointments=300)
    one, two = practice.add("one", "first-au1", records), practice.add("two", "second-au1", other)
    runs = [practice.start("one", "comprehensive"), practice.start("two", "comprehensive")]
    for sync_id in runs:
        assert execute(sync_id, practice.runtime) == "completed"
    for organization_id, account in (("one", one), ("two", two)):
        for resource in TABLES:
            check_equal(practice.rows, organization_id, resource, account.records)
    shared = set(practice.rows("patients", "one")) & set(practice.rows("patients", "two"))
    assert len(shared) > 100
    for column, table in REFERENCES.items():
        foreign = f"SELECT 1 FROM cliniko_appointments a JOIN {table} r ON r.id = a.{column} "
        assert practice.api.query(foreign + "WHERE r.organization_id <> a.organization_id") == []


def test_the_user_agent_names_a_contact(practice: Practice) -> None:
    practice.add("acme")
    agents = {request.headers["user-agent"] for request in practice.upstream.requests}
    assert agents == {"syncapp (nobody@example.com)"}


def test_an_account_that_is_suddenly_empty_loses_nothing(practice: Practice, records: Records) -> None:
    account = practice.add("acme", records=records)
    practice.sync("acme", "comprehensive")
    before = practice.rows("patients", "acme")
    account.records["patients"].clear()
    account.touch()
    run = practice.sync("acme", "comprehensive")
    assert (run["status"], run["error_type"]) == ("failed", "mass_delete_refused")
    assert practice.rows("patients", "acme") == before
    assert practice.upstream.api.account(KEY) is account
