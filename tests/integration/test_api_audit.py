"""The audit trail over HTTP: what is told, by whom, and how it is looked through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from syncapp.queries.paging import write_cursor
from syncapp.times import show_time
from tests.integration.api import TIME, Api, ago, check_error

PATH = "/api/v1/audit"


def add(api: Api, action: str = "run.started", **values: Any) -> None:
    row = {"actor": "cli:ann", "action": action, "details": "{}"} | values
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    api.execute(f"INSERT INTO audit_log ({names}) VALUES ({marks})", *row.values())


def actions(api: Api, query: str = "") -> list[str]:
    answer = api.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.get_json()
    return [one["action"] for one in answer.get_json()["items"]]


def test_what_is_done_is_told(api: Api) -> None:
    api.post("/api/v1/organizations", json={"id": "acme", "name": "Acme"})
    token = api.post("/api/v1/organizations/acme/tokens", json={"name": "ci", "role": "admin"}).get_json()
    headers = {"X-Request-ID": "the-third"}
    run = api.post(
        "/api/v1/runs", token=token["token"], json={"sync": "clients", "full_refresh": True}, headers=headers
    )
    api.post(f"/api/v1/runs/{run.get_json()['sync_id']}/cancel")
    api.patch("/api/v1/schedules/clients", json={"enabled": False})
    answer = api.get(PATH)
    body = answer.get_json()
    assert [one["action"] for one in body["items"]] == [
        "schedule.changed",
        "run.cancelled",
        "run.started",
        "token.created",
        "organization.created",
    ]
    assert (body["total"], body["next_cursor"]) == (5, None)
    started = body["items"][2]
    assert TIME.fullmatch(started.pop("at"))
    assert started == {
        "actor": f"token:{token['id']}",
        "organization_id": "acme",
        "action": "run.started",
        "target": run.get_json()["sync_id"],
        "request_id": "the-third",
        "details": {"sync": "clients", "mode": "default", "trigger": "manual", "full_refresh": True},
    }
    assert token["token"] not in answer.get_data(as_text=True)


def test_filters(api: Api) -> None:
    api.add_organization("acme")
    add(api, "a", organization_id="acme", at=ago(timedelta(hours=3)))
    add(api, "b", organization_id="default", at=ago(timedelta(hours=2)), actor="user:auth0|42")
    add(api, "a", at=ago(timedelta(hours=1)), actor="user:auth0|42")
    assert actions(api) == ["a", "b", "a"]
    assert actions(api, "organization_id=acme") == ["a"]
    assert actions(api, f"actor={quote('user:auth0|42')}") == ["a", "b"]
    assert actions(api, f"actor={quote('user:auth0|42')}&action=b") == ["b"]
    assert actions(api, f"since={quote(show_time(ago(timedelta(minutes=150))))}") == ["a", "b"]
    assert actions(api, "action=nothing") == []
    assert api.get(f"{PATH}?action=a").get_json()["total"] == 2
    named = api.get(PATH, headers={"X-Organization-ID": "acme"}).get_json()
    assert [one["organization_id"] for one in named["items"]] == ["acme"]


def test_pages_do_not_shift(api: Api) -> None:
    at = ago(timedelta(minutes=5))
    for number in range(25):
        add(api, f"a{number}", at=at if number < 20 else ago(timedelta(minutes=1)))  # most at the same moment
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"{PATH}?limit=10" + (f"&cursor={cursor}" if cursor else "")).get_json()
        found += [one["action"] for one in page["items"]]
        cursor = page["next_cursor"]
        add(api, "later", at=ago(timedelta(0)))
    assert found == [f"a{number}" for number in range(24, -1, -1)]


def encoded(value: Any) -> str:
    return write_cursor(datetime(2026, 1, 1, tzinfo=UTC), value)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "since=yesterday",
        "organization_id=a%20b",
        "actor=",
        "action=a%00",
        "cursor=nonsense",
        f"cursor={encoded('sync_x')}",
        f"cursor={encoded(True)}",
        f"cursor={encoded(2**63)}",
        "cursor=" + encoded(1)[:-3],
        "cursor=%5B1%5D",
    ],
)
def test_what_is_not_valid(api: Api, query: str) -> None:
    details = check_error(api.get(f"{PATH}?{query}"), 422, "validation_error")
    assert set(details["fields"]) == {query.partition("=")[0]}


def test_an_unknown_organization(api: Api) -> None:
    check_error(api.get(f"{PATH}?organization_id=nobody"), 404, "not_found")
