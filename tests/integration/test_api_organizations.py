"""Organizations over HTTP: made, listed, renamed, deactivated, brought back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from syncapp.audit import SYSTEM
from syncapp.commands import change_organization
from syncapp.scope import EVERYONE
from tests.integration.api import TIME, Api, check_error
from tests.waiting import wait_for

PATH = "/api/v1/organizations"
RUN = {"sync": "clients", "organization_id": "acme"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers are looked up at every request."""
    monkeypatch.setattr("api.auth.KNOWN_SECONDS", 0.0)


def change(api: Api, **values: Any) -> Any:
    answer = api.patch(f"{PATH}/acme", json=values)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def test_one_is_made_and_listed(api: Api) -> None:
    answer = api.post(PATH, json={"id": "acme", "name": "  Acme Ltd "})
    made = answer.get_json()
    assert (answer.status_code, made["id"], made["name"], made["active"]) == (201, "acme", "Acme Ltd", True)
    assert TIME.fullmatch(made["created_at"])
    listed = api.get(PATH).get_json()
    assert [one["id"] for one in listed["items"]] == ["default", "acme"]
    assert (listed["items"][1], listed["total"]) == (made, 2)


def test_an_id_is_made_up(api: Api) -> None:
    first, second = (api.post(PATH, json={"name": "Acme"}).get_json()["id"] for _ in range(2))
    assert first != second
    assert api.patch(f"{PATH}/{first}", json={"name": "Other"}).get_json()["name"] == "Other"


def test_the_list_has_pages(api: Api) -> None:
    for number in range(12):
        api.post(PATH, json={"id": f"org_{number:02d}", "name": "x"})
    pages = [api.get(f"{PATH}?limit=5&offset={offset}").get_json() for offset in (0, 5, 10, 15)]
    assert [page["total"] for page in pages] == [13] * 4
    assert [len(page["items"]) for page in pages] == [5, 5, 3, 0]
    assert len({one["id"] for page in pages for one in page["items"]}) == 13
    assert len(api.get(PATH).get_json()["items"]) == 10


def test_an_id_that_is_taken(api: Api) -> None:
    api.post(PATH, json={"id": "acme", "name": "Acme"})
    check_error(api.post(PATH, json={"id": "acme", "name": "Another"}), 409, "conflict")
    assert api.query("SELECT name FROM organizations WHERE id = 'acme'") == [{"name": "Acme"}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"name": "a\u202e"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x", "id": ""}, "id"),
        ({"name": "x", "id": "a b"}, "id"),
        ({"name": "x", "id": "x" * 65}, "id"),
        ({"name": "x", "id": None}, "id"),
        ({"name": "x", "active": False}, "active"),
    ],
)
def test_what_cannot_be_made(api: Api, body: dict[str, Any], field: str) -> None:
    assert set(check_error(api.post(PATH, json=body), 422, "validation_error")["fields"]) == {field}
    assert api.get(PATH).get_json()["total"] == 1


def test_one_is_renamed(api: Api) -> None:
    api.add_organization("acme")
    assert change(api, name=" Acme Inc ") | {"created_at": ""} == {
        "id": "acme",
        "name": "Acme Inc",
        "active": True,
        "created_at": "",
    }


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": " "}, {"active": "perhaps"}, {"id": "other"}])
def test_what_cannot_be_changed(api: Api, body: dict[str, Any]) -> None:
    api.add_organization("acme")
    check_error(api.patch(f"{PATH}/acme", json=body), 422, "validation_error")


def test_an_unknown_one(api: Api) -> None:
    check_error(api.patch(f"{PATH}/nobody", json={"name": "x"}), 404, "not_found")


def test_a_deactivated_one_starts_nothing_and_its_runs_stop(api: Api) -> None:
    api.add_organization("acme")
    api.add_run("sync_waiting", organization_id="acme", status="starting")
    api.add_run("sync_held", organization_id="acme", sync="appointments", status="running", lease_token=1)
    api.execute(
        "UPDATE sync_runs SET lease_owner = 'w', lease_expires_at = now() + interval '1 hour', started_at = now() "
        "WHERE sync_id = 'sync_held'"
    )
    api.add_run("sync_theirs", status="starting")
    assert change(api, active=False)["active"] is False
    runs = {run["sync_id"]: run for run in api.runs()}
    assert {name: run["status"] for name, run in runs.items()} == {
        "sync_waiting": "cancelled",
        "sync_held": "running",
        "sync_theirs": "starting",
    }
    assert runs["sync_held"]["cancel_requested_at"] is not None
    assert runs["sync_theirs"]["cancel_requested_at"] is None
    check_error(api.post("/api/v1/runs", json=RUN), 404, "not_found")
    assert len(api.runs()) == 3


def test_a_run_that_begins_while_its_organization_is_deactivated_does_not(api: Api) -> None:
    """Else it would be seen by neither: not by the one who stops runs, and not stopped itself."""
    api.add_organization("acme")
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%INSERT INTO sync_runs%%'"
    with ThreadPoolExecutor(1) as pool:
        with api.database.session(EVERYONE) as session:
            session.connection().exec_driver_sql("UPDATE organizations SET active = false WHERE id = 'acme'")
            asked = pool.submit(api.again().post, "/api/v1/runs", json=RUN)
            wait_for(lambda: api.query(waiting), what="the trigger waits")
        check_error(asked.result(), 404, "not_found")
    assert api.runs() == []


def test_its_members_are_refused_until_it_is_back(api: Api) -> None:
    api.add_organization("acme")
    member, admin = api.make_token("acme"), api.make_token("acme", "admin")
    assert api.get("/api/v1/runs", token=member).status_code == 200
    change(api, active=False)
    details = check_error(api.get("/api/v1/runs", token=member), 403, "forbidden")
    assert details["message"] == "The organization acme is not active"
    assert details["error_code"] == "ORGANIZATION_INACTIVE"
    assert api.get(PATH, token=admin).status_code == 200
    change(api, active=True)
    assert api.get("/api/v1/runs", token=member).status_code == 200
    assert api.post("/api/v1/runs", json=RUN).status_code == 202


def test_the_default_one_stays_active(api: Api) -> None:
    answer = api.patch(f"{PATH}/default", json={"active": False, "name": "Other"})
    assert check_error(answer, 409, "conflict")["error_code"] == "DEFAULT_ORGANIZATION"
    assert api.query("SELECT name, active FROM organizations") == [{"name": "Default organization", "active": True}]
    assert api.patch(f"{PATH}/default", json={"active": True, "name": "Ours"}).status_code == 200


def test_what_is_as_it_was_is_no_change(api: Api) -> None:
    api.add_organization("acme")
    api.add_run("sync_x", organization_id="acme", status="starting")
    assert change_organization(api.database, api.settings, "acme", SYSTEM, name="acme", active=True) == 0
    assert change_organization(api.database, api.settings, "acme", SYSTEM, active=False) == 1
    assert change_organization(api.database, api.settings, "acme", SYSTEM, active=False) == 0
    assert len(api.query("SELECT 1 FROM audit_log")) == 1


def test_who_did_it_is_kept(api: Api) -> None:
    api.post(PATH, json={"id": "acme", "name": "Acme"}, headers={"X-Request-ID": "made"})
    api.patch(f"{PATH}/acme", json={"active": False, "name": "Acme"}, headers={"X-Request-ID": "closed"})
    columns = "action, actor, organization_id, target, request_id, details"
    assert api.query(f"SELECT {columns} FROM audit_log ORDER BY id") == [
        {
            "action": "organization.created",
            "actor": "environment",
            "organization_id": "acme",
            "target": "acme",
            "request_id": "made",
            "details": {"name": "Acme"},
        },
        {
            "action": "organization.changed",
            "actor": "environment",
            "organization_id": "acme",
            "target": "acme",
            "request_id": "closed",
            "details": {"before": {"active": True}, "after": {"active": False}},
        },
    ]


@pytest.mark.parametrize("value", ["no", "false", "off", 2, None])
def test_a_flag_is_true_or_false_and_no_text_that_may_mean_one(api: Api, value: Any) -> None:
    api.add_organization("acme")
    check_error(api.patch("/api/v1/organizations/acme", json={"active": value}), 422, "validation_error")
    check_error(api.post("/api/v1/runs", json={"sync": "clients", "dry_run": value}), 422, "validation_error")
    check_error(api.patch("/api/v1/schedules/clients", json={"enabled": value}), 422, "validation_error")
    assert api.query("SELECT active FROM organizations WHERE id = 'acme'") == [{"active": True}]
