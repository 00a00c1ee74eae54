"""Who may do what: the contract's table of tokens, roles and organizations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncapp.registry import find_sync
from tests.integration.api import ADMIN, Api, add_dead_letter, ago, check_error, open_api

CLOSED = [
    ("GET", "/api/v1/sync/status"),
    ("POST", "/api/v1/sync/clients"),
    ("POST", "/api/v1/sync/appointments"),
    ("POST", "/api/v1/sync/all"),
    ("POST", "/api/v1/sync/force"),
    ("GET", "/api/v1/runs"),
    ("POST", "/api/v1/runs"),
    ("GET", "/api/v1/runs/sync_x"),
    ("GET", "/api/v1/runs/sync_x/changes"),
    ("GET", "/api/v1/runs/sync_x/events"),
    ("GET", "/api/v1/runs/sync_x/errors"),
    ("POST", "/api/v1/runs/sync_x/errors/replay"),
    ("POST", "/api/v1/runs/sync_x/cancel"),
    ("POST", "/api/v1/runs/sync_x/retry"),
    ("GET", "/api/v1/syncs"),
    ("GET", "/api/v1/schedules"),
    ("PATCH", "/api/v1/schedules/clients"),
]
OPEN = ["/healthz", "/readyz", "/api/v1/health", "/docs", "/docs/", "/docs/swagger.json", "/openapi.json"]
BAD = ["", "Bearer", "Bearer ", "Bearer nonsense", f"Basic {ADMIN}", ADMIN, "Bearer syncapp_" + "x" * 5000, "Bearer é"]


def test_every_other_route_is_closed(api: Api) -> None:
    listed = {
        (method, rule.rule.replace("<sync_id:sync_id>", "sync_x").replace("<name>", "clients"))
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    unknown = {one for one in listed if one[1] not in OPEN and not one[1].startswith("/docs/")} - set(CLOSED)
    assert unknown == set()


def test_no_token(api: Api) -> None:
    for method, path in CLOSED:
        answer = api.call(method, path, token=None)
        check_error(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_bad_token(api: Api) -> None:
    for header in BAD:
        answer = api.get("/api/v1/runs", headers={"Authorization": header})
        check_error(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_open_without_a_token(api: Api) -> None:
    for path in OPEN:
        assert api.get(path, token=None).status_code in (200, 503)


def test_the_scheme_is_not_case_sensitive(api: Api) -> None:
    assert api.get("/api/v1/runs", headers={"Authorization": f"bearer {ADMIN}"}).status_code == 200


def test_an_admin_token_of_the_database(api: Api) -> None:
    assert api.get("/api/v1/schedules", token=api.make_token(None, "admin")).status_code == 200


def test_a_revoked_token_is_refused_within_seconds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    token = api.make_token("default")
    now = [1000.0]
    monkeypatch.setattr("api.auth.time.monotonic", lambda: now[0])
    assert api.get("/api/v1/runs", token=token).status_code == 200
    api.execute("UPDATE tokens SET revoked_at = now()")
    now[0] += 4
    check_error(api.get("/api/v1/runs", token=token), 401)


def test_no_admin_token_in_the_environment_lets_nobody_in(api: Api) -> None:
    object.__setattr__(api.settings, "syncapp_admin_token", None)
    check_error(api.get("/api/v1/runs"), 401)


class TestMembers:
    """A member sees its own organization alone."""

    @pytest.fixture
    def member(self, api: Api) -> str:
        api.add_organization("acme")
        return api.make_token("acme")

    @pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/schedules"), ("PATCH", "/api/v1/schedules/clients")])
    def test_admin_alone(self, api: Api, member: str, method: str, path: str) -> None:
        check_error(api.call(method, path, token=member, json={"enabled": False}), 403, "forbidden")

    @pytest.mark.parametrize("organization", ["default", "nobody"])
    @pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/syncs", "/api/v1/runs/sync_x"])
    def test_another_organization_in_the_header(self, api: Api, member: str, path: str, organization: str) -> None:
        answer = api.get(path, token=member, headers={"X-Organization-ID": organization})
        check_error(answer, 403, "forbidden")

    @pytest.mark.parametrize("organization", ["default", "nobody"])
    def test_another_organization_elsewhere(self, api: Api, member: str, organization: str) -> None:
        check_error(api.get(f"/api/v1/runs?organization_id={organization}", token=member), 403)
        body = {"sync": "clients", "organization_id": organization}
        check_error(api.post("/api/v1/runs", token=member, json=body), 403)
        assert api.query("SELECT * FROM sync_runs") == []

    def test_its_own_named_is_fine(self, api: Api, member: str) -> None:
        assert api.get("/api/v1/runs?organization_id=acme", token=member).status_code == 200
        assert api.get("/api/v1/syncs", token=member, headers={"X-Organization-ID": "acme"}).status_code == 200

    def test_its_runs_alone(self, api: Api, member: str) -> None:
        api.add_run("sync_mine", organization_id="acme")
        api.add_run("sync_theirs")
        assert [run["sync_id"] for run in api.get("/api/v1/runs", token=member).get_json()["items"]] == ["sync_mine"]
        assert api.get("/api/v1/runs", token=member).get_json()["total"] == 1
        assert api.get("/api/v1/runs/sync_mine", token=member).status_code == 200

    @pytest.mark.parametrize("path", ["", "/changes", "/errors"])
    def test_foreign_and_unknown_look_alike(self, api: Api, member: str, path: str) -> None:
        api.add_run("sync_theirs")
        foreign = check_error(api.get(f"/api/v1/runs/sync_theirs{path}", token=member), 404, "not_found")
        unknown = check_error(api.get(f"/api/v1/runs/sync_nobodys{path}", token=member), 404, "not_found")
        assert foreign | {"message": ""} == unknown | {"message": ""}
        assert foreign["message"].replace("theirs", "nobodys") == unknown["message"]

    @pytest.mark.parametrize("action", ["cancel", "retry", "errors/replay"])
    def test_nothing_foreign_is_touched(self, api: Api, member: str, action: str) -> None:
        api.add_run("sync_theirs", status="starting")
        check_error(api.post(f"/api/v1/runs/sync_theirs/{action}", token=member), 404, "not_found")
        assert [row["status"] for row in api.query("SELECT status FROM sync_runs")] == ["starting"]

    @pytest.mark.parametrize(("per_organization", "status"), [(False, 403), (True, 202)])
    @pytest.mark.parametrize("path", ["", "/sync_mine/retry", "/sync_mine/errors/replay"])
    def test_only_a_source_of_its_own_is_read_for_it(
        self, api: Api, member: str, monkeypatch: pytest.MonkeyPatch, path: str, per_organization: bool, status: int
    ) -> None:
        """Else it would see the default organization's records; dry runs show them too."""
        sync = replace(find_sync("clients"), per_organization=per_organization)
        monkeypatch.setattr("api.auth.find_sync", lambda _: sync)
        api.add_run("sync_mine", organization_id="acme", status="failed", started_at=ago(timedelta(hours=1)))
        add_dead_letter(api, "sync_mine", organization_id="acme")
        body = {"sync": "clients", "dry_run": True}
        answer = api.post(f"/api/v1/runs{path}", token=member, json=None if path else body)
        assert answer.status_code == status
        if status == 403:
            check_error(answer, 403, "forbidden")
            assert len(api.runs()) == 1
            assert api.post(f"/api/v1/runs{path}", json=None if path else body).status_code == 202
        else:
            assert answer.get_json()["organization_id"] == "acme"

    def test_section_one_belongs_to_the_default_organization(self, api: Api, member: str) -> None:
        own = api.make_token("default")
        for method, path in CLOSED[:5]:
            check_error(api.call(method, path, token=member), 403, "forbidden")
            assert api.call(method, path, token=own).status_code in (200, 202)
            api.end_runs()

    def test_mass_deletes_are_the_admins(self, api: Api, member: str) -> None:
        body = {"sync": "clients", "allow_mass_delete": True}
        check_error(api.post("/api/v1/runs", token=member, json=body), 403)


class TestOrganizations:
    """Path, header, token's own, default; in this order."""

    def test_the_default(self, api: Api) -> None:
        assert api.post("/api/v1/sync/clients").get_json()["organization_id"] == "default"

    def test_an_admin_tokens_own(self, api: Api) -> None:
        api.add_organization("acme")
        token = api.make_token("acme", "admin")
        assert api.post("/api/v1/runs", token=token, json={"sync": "clients"}).get_json()["organization_id"] == "acme"

    def test_the_header(self, api: Api) -> None:
        api.add_organization("acme")
        answer = api.post("/api/v1/runs", json={"sync": "clients"}, headers={"X-Organization-ID": "acme"})
        assert answer.get_json()["organization_id"] == "acme"

    def test_an_admin_sees_all_or_the_one_it_names(self, api: Api) -> None:
        api.add_organization("acme")
        api.add_run("sync_a", organization_id="acme")
        api.add_run("sync_b")
        assert api.get("/api/v1/runs").get_json()["total"] == 2
        assert api.get("/api/v1/runs?organization_id=acme").get_json()["total"] == 1
        assert api.get("/api/v1/runs", headers={"X-Organization-ID": "acme"}).get_json()["total"] == 1
        check_error(api.get("/api/v1/runs/sync_b", headers={"X-Organization-ID": "acme"}), 404)

    def test_two_that_disagree(self, api: Api) -> None:
        header = {"X-Organization-ID": "acme"}
        check_error(api.get("/api/v1/runs?organization_id=other", headers=header), 400, "validation_error")
        body = {"sync": "clients", "organization_id": "other"}
        check_error(api.post("/api/v1/runs", json=body, headers=header), 400, "validation_error")

    @pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "../etc", "ümlaut", "a\x00", "acme\t"])
    def test_what_is_no_id(self, api: Api, bad: str) -> None:
        for path in ("/api/v1/runs", "/api/v1/schedules", "/api/v1/sync/status"):
            details = check_error(api.get(path, headers={"X-Organization-ID": bad}), 422, "validation_error")
            assert set(details["fields"]) == {"X-Organization-ID"}

    @pytest.mark.parametrize("organization", ["acme", "nobody"])
    @pytest.mark.parametrize(("method", "path"), CLOSED[:5])
    def test_section_one_is_for_no_other(self, api: Api, method: str, path: str, organization: str) -> None:
        api.add_organization("acme")
        answer = api.call(method, path, headers={"X-Organization-ID": organization})
        assert "belong to the default organization" in check_error(answer, 400, "validation_error")["message"]
        assert api.runs() == []

    @pytest.mark.parametrize("header", [{}, {"X-Organization-ID": "default"}])
    def test_section_one_for_an_admin_of_another(self, api: Api, header: dict[str, str]) -> None:
        api.add_organization("acme")
        token = api.make_token("acme", "admin")
        answer = api.post("/api/v1/sync/clients", token=token, headers=header)
        assert (answer.status_code, answer.get_json()["organization_id"]) == (202, "default")
        assert api.get("/api/v1/sync/status", token=token, headers=header).status_code == 200

    def test_an_unknown_one_starts_nothing(self, api: Api) -> None:
        body = {"sync": "clients"}
        check_error(api.post("/api/v1/runs", json=body, headers={"X-Organization-ID": "nobody"}), 404, "not_found")
        assert api.runs() == []

    def test_an_inactive_one_starts_nothing(self, api: Api) -> None:
        api.add_organization("closed", active=False)
        check_error(api.post("/api/v1/runs", json={"sync": "clients", "organization_id": "closed"}), 404)


class TestOrigins:
    """Pages of other origins use the API where CORS_ORIGINS names them."""

    def test_none_by_default(self, api: Api) -> None:
        answer = api.get("/healthz", headers={"Origin": "https://a.example"})
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize(
        ("allowed", "origin", "expected"),
        [
            ("https://a.example", "https://a.example", "https://a.example"),
            ("https://b.example, https://a.example/", "https://a.example", "https://a.example"),
            ("*", "https://a.example", "https://a.example"),
            ("https://b.example", "https://a.example", None),
            ("https://a.example", "https://a.example.evil", None),
        ],
    )
    def test_those_that_are_named(
        self, database_url: str, redis_url: str, allowed: str, origin: str, expected: str | None
    ) -> None:
        with open_api(database_url, redis_url, cors_origins=allowed) as api:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = api.call("OPTIONS", "/api/v1/sync/all", token=None, headers=asked)
            refused = api.get("/api/v1/runs", token=None, headers={"Origin": origin})
        assert preflight.status_code == 200
        assert preflight.headers.get("Access-Control-Allow-Origin") == expected
        assert ("POST" in preflight.headers.get("Access-Control-Allow-Methods", "")) == (expected is not None)
        assert refused.headers.get("Access-Control-Allow-Origin") == expected
        assert "Origin" in refused.headers["Vary"]
