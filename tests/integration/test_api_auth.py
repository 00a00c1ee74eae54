"""Who may do what: the contract's table of tokens, roles and organizations."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.integration.api import ADMIN, Api, add_dead_letter, ago, check_error

IDS = {"sync_id": "sync_x", "name": "clients", "organization_id": "other", "token_id": "tok_x", "property_id": "12"}
ADMINS = [
    ("GET", "/api/v1/schedules"),
    ("PATCH", "/api/v1/schedules/clients"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/organizations"),
    ("POST", "/api/v1/organizations"),
    ("PATCH", "/api/v1/organizations/other"),
    ("GET", "/api/v1/organizations/other/tokens"),
    ("POST", "/api/v1/organizations/other/tokens"),
    ("DELETE", "/api/v1/organizations/other/tokens/tok_x"),
    ("POST", "/api/v1/sync/cleanup"),
    ("POST", "/api/v1/admin/sync"),
    ("GET", "/api/v1/admin/sync/status"),
    ("POST", "/api/v1/admin/sync/start"),
    ("POST", "/api/v1/admin/sync/stop"),
    ("GET", "/api/v1/admin/sync/health"),
    ("GET", "/api/v1/admin/sync/logs"),
    ("GET", "/api/v1/admin/sync/settings"),
    ("PUT", "/api/v1/admin/sync/settings"),
    ("GET", "/api/v1/admin/properties/12/changes"),
]
OF_ONE = [
    ("POST", "/api/v1/sync/start/other"),
    ("GET", "/api/v1/sync/history/other"),
    ("POST", "/api/v1/cliniko/sync/other"),
    ("POST", "/api/v1/cliniko/import-patients/other"),
    ("GET", "/api/v1/cliniko/status/other"),
    ("GET", "/api/v1/cliniko/test-connection/other"),
    ("PUT", "/api/v1/cliniko/credentials/other"),
    ("DELETE", "/api/v1/cliniko/credentials/other"),
]
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
    ("POST", "/api/v1/runs/sync_x/undo"),
    ("POST", "/api/v1/runs/sync_x/cancel"),
    ("POST", "/api/v1/runs/sync_x/retry"),
    ("GET", "/api/v1/syncs"),
    ("POST", "/api/v1/sync/trigger"),
    ("GET", "/api/v1/sync/scheduler/status"),
    ("POST", "/api/v1/sync/scheduler/trigger"),
    ("GET", "/api/v1/sync/progress/sync_x"),
    *OF_ONE,
    *ADMINS,
]
NAMING = [one for one in CLOSED if "/other" in one[1]]
OPEN = ["/healthz", "/readyz", "/api/v1/health", "/docs", "/docs/", "/docs/swagger.json", "/openapi.json"]
BAD = ["", "Bearer", "Bearer ", "Bearer nonsense", f"Basic {ADMIN}", ADMIN, "Bearer syncapp_" + "x" * 9000, "Bearer é"]


def test_every_other_route_is_closed(api: Api) -> None:
    listed = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda found: IDS[found[1]], rule.rule))
        for rule in api.app.url_map.iter_rules()
        if not rule.rule.startswith("/docs/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    unknown = {one for one in listed if one[1] not in OPEN} - set(CLOSED)
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

    def test_admin_alone(self, api: Api, member: str) -> None:
        for method, path in ADMINS:
            for organization in ("other", "acme"):
                answer = api.call(method, path.replace("other", organization), token=member, json={"name": "x"})
                assert check_error(answer, 403, "forbidden")["message"] == "Only an admin may do this"

    @pytest.mark.parametrize("exists", [True, False])
    def test_another_organization_in_the_path(self, api: Api, member: str, exists: bool) -> None:
        if exists:
            api.add_organization("other")
        for method, path in OF_ONE:
            details = check_error(api.call(method, path, token=member, json={"api_key": "x"}), 403, "forbidden")
            assert details["message"] == "The token belongs to another organization"

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

    @pytest.mark.parametrize("action", ["cancel", "retry", "errors/replay", "undo"])
    def test_nothing_foreign_is_touched(self, api: Api, member: str, action: str) -> None:
        api.add_run("sync_theirs", status="starting")
        check_error(api.post(f"/api/v1/runs/sync_theirs/{action}", token=member), 404, "not_found")
        assert [row["status"] for row in api.query("SELECT status FROM sync_runs")] == ["starting"]

    @pytest.mark.parametrize("path", ["", "/sync_mine/retry", "/sync_mine/errors/replay"])
    def test_the_default_organizations_source_is_read_for_no_other(self, api: Api, member: str, path: str) -> None:
        """Else it would see the default organization's records; dry runs show them too."""
        api.add_run("sync_mine", organization_id="acme", status="failed", started_at=ago(timedelta(hours=1)))
        add_dead_letter(api, "sync_mine", organization_id="acme")
        body = None if path else {"sync": "clients", "dry_run": True}
        check_error(api.post(f"/api/v1/runs{path}", token=member, json=body), 403, "forbidden")
        assert len(api.runs()) == 1
        assert api.post(f"/api/v1/runs{path}", json=body).status_code == 202

    @pytest.mark.parametrize("path", ["", "/sync_mine/retry"])
    def test_a_source_of_its_own_needs_credentials(self, api: Api, member: str, path: str) -> None:
        api.add_run("sync_mine", sync="cliniko", mode="basic", organization_id="acme", status="failed")
        body = None if path else {"sync": "cliniko", "dry_run": True}
        check_error(api.post(f"/api/v1/runs{path}", token=member, json=body), 409, "credentials_not_found")
        assert len(api.runs()) == 1

    def test_a_replay_of_its_own_asks_no_source(self, api: Api, member: str) -> None:
        api.add_run("sync_mine", sync="cliniko", mode="basic", organization_id="acme", status="failed")
        add_dead_letter(api, "sync_mine", organization_id="acme", stream="patients")
        answer = api.post("/api/v1/runs/sync_mine/errors/replay", token=member)
        assert (answer.status_code, answer.get_json()["organization_id"]) == (202, "acme")

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

    @pytest.mark.parametrize("bad", ["a%20b", "x" * 65, "%C3%BCmlaut", "a%00"])
    def test_what_is_no_id_in_a_path(self, api: Api, bad: str) -> None:
        for method, path in NAMING:
            details = check_error(api.call(method, path.replace("other", bad)), 422, "validation_error")
            assert set(details["fields"]) == {"organization_id"}

    def test_a_path_and_a_header_that_disagree(self, api: Api) -> None:
        api.add_organization("other")
        said = "The request names two organizations: X-Organization-ID and organization_id disagree"
        for method, path in NAMING:
            answer = api.call(method, path, headers={"X-Organization-ID": "default"})
            assert check_error(answer, 400, "validation_error")["message"] == said

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
