"""Tokens over HTTP: made for an organization, shown once, listed, revoked."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.integration.api import Api, check_error

PATH = "/api/v1/organizations/acme/tokens"


@pytest.fixture(autouse=True)
def acme(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organization; and callers are looked up at every request."""
    monkeypatch.setattr("api.auth.KNOWN_SECONDS", 0.0)
    api.add_organization("acme")


def make(api: Api, **body: Any) -> Any:
    answer = api.post(PATH, json={"name": "ci"} | body)
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


def test_a_members_token_is_shown_once_and_works(api: Api) -> None:
    made = make(api, role="member")
    assert set(made) == {"id", "name", "role", "token", "organization_id", "created_at"}
    assert (made["name"], made["role"], made["organization_id"]) == ("ci", "member", "acme")
    [stored] = api.query("SELECT * FROM tokens")
    assert bytes(stored["token_hash"]) == hashlib.sha256(made["token"].encode()).digest()
    assert made["token"] not in str(stored)
    listed = api.get(PATH)
    assert made["token"] not in listed.get_data(as_text=True)
    shown = {name: value for name, value in made.items() if name != "token"}
    assert listed.get_json() == {"items": [shown | {"last_used_at": None, "revoked_at": None}], "total": 1}
    assert api.get("/api/v1/runs", token=made["token"]).status_code == 200
    check_error(api.get("/api/v1/runs?organization_id=default", token=made["token"]), 403, "forbidden")
    check_error(api.get(PATH, token=made["token"]), 403, "forbidden")


def test_without_a_role_it_is_a_members(api: Api) -> None:
    assert make(api)["role"] == "member"


def test_an_admins_token_has_an_organization_of_its_own(api: Api) -> None:
    token = make(api, role="admin")["token"]
    assert api.get("/api/v1/organizations", token=token).get_json()["total"] == 2
    assert api.post("/api/v1/runs", token=token, json={"sync": "clients"}).get_json()["organization_id"] == "acme"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "member"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"name": "x", "role": "owner"}, "role"),
        ({"name": "x", "role": None}, "role"),
        ({"name": "x", "organization_id": "default"}, "organization_id"),
    ],
)
def test_what_cannot_be_made(api: Api, body: dict[str, Any], field: str) -> None:
    assert set(check_error(api.post(PATH, json=body), 422, "validation_error")["fields"]) == {field}
    assert api.query("SELECT 1 FROM tokens") == []


def test_of_an_unknown_organization(api: Api) -> None:
    path = PATH.replace("acme", "nobody")
    check_error(api.get(path), 404, "not_found")
    check_error(api.post(path, json={"name": "x"}), 404, "not_found")
    check_error(api.call("DELETE", f"{path}/tok_1"), 404, "not_found")


def test_the_list_is_the_organizations_own_and_has_pages(api: Api) -> None:
    api.make_token("default")
    api.make_token(None, "admin")
    made = [make(api, name=f"t{number}")["id"] for number in range(7)]
    pages = [api.get(f"{PATH}?limit=3&offset={offset}").get_json() for offset in (0, 3, 6)]
    assert [page["total"] for page in pages] == [7] * 3
    assert [one["id"] for page in pages for one in page["items"]] == made[::-1]


def test_a_revoked_token_is_good_for_nothing(api: Api) -> None:
    made = make(api)
    for _ in range(2):
        answer = api.call("DELETE", f"{PATH}/{made['id']}")
        assert (answer.status_code, answer.get_data()) == (204, b"")
    check_error(api.get("/api/v1/runs", token=made["token"]), 401, "unauthorized")
    assert api.get(PATH).get_json()["items"][0]["revoked_at"] is not None


def test_unknown_and_another_organizations_look_alike(api: Api) -> None:
    other = api.make_token("default")
    [stored] = api.query("SELECT id FROM tokens")
    foreign = check_error(api.call("DELETE", f"{PATH}/{stored['id']}"), 404, "not_found")
    unknown = check_error(api.call("DELETE", f"{PATH}/tok_nobodys"), 404, "not_found")
    assert foreign["message"].replace(stored["id"], "tok_nobodys") == unknown["message"]
    check_error(api.call("DELETE", f"{PATH}/a%00b"), 404, "not_found")
    assert api.get("/api/v1/runs", token=other).status_code == 200


def test_the_last_use_is_noted_at_most_once_a_minute(api: Api) -> None:
    def last_used() -> Any:
        return api.get(PATH).get_json()["items"][0]["last_used_at"]

    token = make(api)["token"]
    assert last_used() is None
    api.get("/api/v1/runs", token=token)
    first = last_used()
    assert first is not None
    api.get("/api/v1/runs", token=token)
    assert last_used() == first
    api.execute("UPDATE tokens SET last_used_at = last_used_at - interval '2 minutes'")
    before = last_used()
    api.get("/api/v1/runs", token=token)
    assert last_used() >= first > before


def test_who_did_it_is_kept_without_the_secret(api: Api) -> None:
    made = make(api, name="export")
    admin = api.make_token(None, "admin")
    for _ in range(2):
        api.call("DELETE", f"{PATH}/{made['id']}", token=admin)
    [maker] = api.query("SELECT id FROM tokens WHERE role = 'admin'")
    entries = api.query("SELECT * FROM audit_log WHERE target = %s ORDER BY id", made["id"])
    assert [(one["action"], one["actor"], one["organization_id"]) for one in entries] == [
        ("token.created", "environment", "acme"),
        ("token.revoked", f"token:{maker['id']}", "acme"),
    ]
    assert {str(one["details"]) for one in entries} == {str({"name": "export", "role": "member"})}
    assert made["token"] not in str(api.query("SELECT * FROM audit_log"))
