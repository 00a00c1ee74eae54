"""Tokens of an identity provider over HTTP: what they may do, and what the others are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.identity import ISSUER, Provider, open_provider
from tests.integration.api import ADMIN, Api, check_error, open_api

RUNS = "/api/v1/runs"
ADMINS = {"auth_admin_claim": "https://example.com/role", "auth_admin_value": "admin", "trigger_rate_limit": 2}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with open_provider() as made:
        yield made


@pytest.fixture
def api(database_url: str, redis_url: str, provider: Provider) -> Iterator[Api]:
    with open_api(database_url, redis_url, auth_jwks_url=provider.jwks_url, auth_issuer=ISSUER, **ADMINS) as made:
        yield made


def refused(api: Api, token: str, code: str = "TOKEN_INVALID") -> str:
    """Why a token is answered 401."""
    answer = api.get(RUNS, token=token)
    details = check_error(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert details["error_code"] == code
    return str(details["message"])


def test_a_member_sees_its_organization_alone(api: Api, provider: Provider) -> None:
    api.add_organization("acme")
    api.add_run("sync_mine", organization_id="acme")
    api.add_run("sync_theirs")
    token = provider.sign(org_id="acme")
    assert [run["sync_id"] for run in api.get(RUNS, token=token).get_json()["items"]] == ["sync_mine"]
    check_error(api.get(f"{RUNS}/sync_theirs", token=token), 404, "not_found")
    check_error(api.get(RUNS, token=token, headers={"X-Organization-ID": "default"}), 403, "forbidden")
    check_error(api.get("/api/v1/audit", token=token), 403, "forbidden")


def test_an_admin_may_do_everything(api: Api, provider: Provider) -> None:
    api.add_organization("acme")
    token = provider.sign(**{"https://example.com/role": "admin"}, org_id=None)
    assert api.get("/api/v1/organizations", token=token).get_json()["total"] == 2
    assert api.post("/api/v1/sync/clients", token=token).get_json()["organization_id"] == "default"
    own = provider.sign(**{"https://example.com/role": "admin"}, org_id="acme")
    assert api.post(RUNS, token=own, json={"sync": "clients"}).get_json()["organization_id"] == "acme"


def test_a_member_whose_claim_holds_the_value_in_a_list_is_no_admin(api: Api, provider: Provider) -> None:
    token = provider.sign(**{"https://example.com/role": ["admin"]})
    check_error(api.get("/api/v1/organizations", token=token), 403, "forbidden")


def test_our_own_tokens_go_on_working_beside(api: Api, provider: Provider) -> None:
    assert api.get(RUNS, token=ADMIN).status_code == 200
    assert api.get(RUNS, token=api.make_token("default")).status_code == 200
    assert refused(api, "syncapp_nonsense", "TOKEN_UNKNOWN") == "The token is unknown or was revoked"
    assert provider.times_asked == 0


def test_who_it_was_stands_in_the_audit_trail(api: Api, provider: Provider) -> None:
    assert api.post(RUNS, token=provider.sign(), json={"sync": "clients"}).status_code == 202
    found = api.query("SELECT actor, organization_id FROM audit_log")
    assert found == [{"actor": "user:auth0|42", "organization_id": "default"}]


def test_triggers_are_limited_per_subject(api: Api, provider: Provider) -> None:
    body = {"sync": "clients", "dry_run": True}
    answers = [api.post(RUNS, token=provider.sign(jti=str(number)), json=body).status_code for number in range(3)]
    assert answers == [202, 202, 429]
    assert api.post(RUNS, token=provider.sign(sub="another"), json=body).status_code == 202


def test_no_organization_is_claimed(api: Api, provider: Provider) -> None:
    details = check_error(api.get(RUNS, token=provider.sign(org_id=None)), 403, "forbidden")
    assert details["error_code"] == "ORGANIZATION_MISSING"


@pytest.mark.parametrize("organization", ["closed", "nobody"])
def test_an_organization_that_is_not_active_or_not_known(api: Api, provider: Provider, organization: str) -> None:
    api.add_organization("closed", active=False)
    details = check_error(api.get(RUNS, token=provider.sign(org_id=organization)), 403, "forbidden")
    assert details["message"] == f"The organization {organization} is not known here, or not active"


def test_bad_ones_are_refused(api: Api, provider: Provider) -> None:
    assert refused(api, provider.sign(exp=1), "TOKEN_EXPIRED") == "The token has expired"
    assert refused(api, provider.sign(iss="https://evil.example")) == "The token is not valid: Invalid issuer"
    for token in ("a.b.c", "..", "é.é.é", provider.sign()[:-4] + "AAAA", provider.sign(key_id="made up")):
        refused(api, token)


def test_a_provider_that_is_away(api: Api, provider: Provider) -> None:
    provider.server.fail("status", status=500)
    details = check_error(api.get(RUNS, token=provider.sign()), 502, "api_connection_failed")
    assert details["error_code"] == "IDENTITY_PROVIDER_UNREACHABLE"
    assert 1 <= details["retry_after"] <= 5
    assert api.get(RUNS).status_code == 200


def test_one_that_is_too_long_is_not_looked_at(api: Api, provider: Provider) -> None:
    refused(api, provider.sign(filling="x" * 8_192), "TOKEN_TOO_LONG")
    assert provider.times_asked == 0


def test_without_a_provider_no_jwt_is_taken(database_url: str, redis_url: str, provider: Provider) -> None:
    with open_api(database_url, redis_url) as api:
        refused(api, provider.sign(), "TOKEN_UNKNOWN")
