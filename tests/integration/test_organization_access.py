"""Every route, whoever asks, for whichever organization: one table. What is refused changes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr
from werkzeug.test import TestResponse

from api.context import EXTENSION
from tests.integration.api import Api, add_dead_letter, check_error
from tests.integration.cliniko import KEY, NoLimit, Practice

OPEN = {"/healthz", "/readyz", "/api/v1/health", "/openapi.json"}
OPEN |= {"/docs", "/docs/", "/docs/swagger.json", "/docs/<path:path>"}
ORGANIZATIONS = ("acme", "other", "default")
OK = 0  # what the route answers where all is well
NOT_NAMED = ""

# Of each kind of route: by who asks, the answer by the organization that is named. `home` is a member of the default.
Answers = Mapping[str, Mapping[str, int]]
MEMBERS = {
    "acme": {"acme": OK, "other": 403, "default": 403, "nobody": 403, NOT_NAMED: OK},
    "home": {"acme": 403, "other": 403, "default": OK, "nobody": 403, NOT_NAMED: OK},
}
ANY = dict.fromkeys((*ORGANIZATIONS, NOT_NAMED), OK) | {"nobody": 404}
NEVER = dict.fromkeys(ANY, 403)
OF_ONE: Answers = MEMBERS | {"admin": ANY}
OF_A_RUN: Answers = {
    "admin": ANY,
    "acme": {"acme": OK, "other": 404, "default": 404, "nobody": 404},
    "home": {"acme": 404, "other": 404, "default": OK, "nobody": 404},
}
ADMINS: Answers = {"admin": ANY, "acme": NEVER, "home": NEVER}
OF_ALL: Answers = ADMINS | {"admin": dict.fromkeys(ANY, OK)}
OF_THE_DEFAULT: Answers = {
    "admin": {"acme": 400, "other": 400, "default": OK, "nobody": 400, NOT_NAMED: OK},
    "acme": NEVER,
    "home": MEMBERS["home"],
}


OF_THE_DEFAULT_S_ADMINS: Answers = ADMINS | {"admin": OF_THE_DEFAULT["admin"]}


@dataclass(frozen=True)
class Route:
    """`place` is where the organization is named; `run` the status of the run that a path names."""

    method: str
    rule: str
    answers: Answers
    place: str = "header"
    ok: int = 200
    body: Any = field(default_factory=dict)
    run: str = "failed"

    def path(self, target: str) -> str:
        ids = {"organization_id": target, "sync_id": f"sync_{target}", "token_id": f"tok_{target}", "name": "clients"}
        ids |= {"property_id": "12"}
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: ids[found[1]], self.rule)

    def __str__(self) -> str:
        return f"{self.method} {self.rule} ({self.place})"


V1, ONE, RUN = "/api/v1", "<organization:organization_id>", "/api/v1/runs/<sync_id:sync_id>"
KEYS = f"{V1}/cliniko/credentials/{ONE}"
TOKENS = f"{V1}/organizations/{ONE}/tokens"
START = {"sync": "cliniko", "mode": "basic"}
NAMED = {"name": "x"}
RATE = [{"setting_key": "rate_limit", "setting_value": 5}]
ROUTES = [
    Route("GET", f"{V1}/sync/status", OF_THE_DEFAULT),
    Route("POST", f"{V1}/sync/clients", OF_THE_DEFAULT, ok=202),
    Route("POST", f"{V1}/sync/appointments", OF_THE_DEFAULT, ok=202),
    Route("POST", f"{V1}/sync/all", OF_THE_DEFAULT, ok=202),
    Route("POST", f"{V1}/sync/force", OF_THE_DEFAULT, ok=202),
    Route("POST", f"{V1}/sync/trigger", OF_ONE, ok=202),
    Route("GET", f"{V1}/sync/scheduler/status", OF_ONE),
    Route("POST", f"{V1}/sync/scheduler/trigger", OF_ONE, ok=202),
    Route("POST", f"{V1}/sync/start/{ONE}", OF_ONE, "path", 202),
    Route("GET", f"{V1}/sync/progress/<sync_id:sync_id>", OF_A_RUN, "run"),
    Route("GET", f"{V1}/sync/history/{ONE}", OF_ONE, "path"),
    Route("POST", f"{V1}/sync/cleanup", OF_ALL),
    Route("POST", f"{V1}/cliniko/sync/{ONE}", OF_ONE, "path", 202),
    Route("POST", f"{V1}/cliniko/import-patients/{ONE}", OF_ONE, "path", 202),
    Route("GET", f"{V1}/cliniko/status/{ONE}", OF_ONE, "path"),
    Route("GET", f"{V1}/cliniko/test-connection/{ONE}", OF_ONE, "path"),
    Route("PUT", KEYS, OF_ONE, "path", body={"api_key": KEY}),
    Route("DELETE", KEYS, OF_ONE, "path", 204),
    Route("POST", f"{V1}/admin/sync", OF_THE_DEFAULT_S_ADMINS, ok=202),
    Route("GET", f"{V1}/admin/sync/status", OF_THE_DEFAULT_S_ADMINS),
    Route("POST", f"{V1}/admin/sync/start", OF_THE_DEFAULT_S_ADMINS),
    Route("POST", f"{V1}/admin/sync/stop", OF_THE_DEFAULT_S_ADMINS),
    Route("GET", f"{V1}/admin/sync/health", OF_THE_DEFAULT_S_ADMINS),
    Route("GET", f"{V1}/admin/sync/logs", OF_THE_DEFAULT_S_ADMINS),
    Route("GET", f"{V1}/admin/sync/settings", OF_THE_DEFAULT_S_ADMINS),
    Route("PUT", f"{V1}/admin/sync/settings", OF_THE_DEFAULT_S_ADMINS, body=RATE),
    Route("GET", f"{V1}/admin/properties/<int:property_id>/changes", OF_THE_DEFAULT_S_ADMINS),
    Route("GET", f"{V1}/organizations", OF_ALL),
    Route("POST", f"{V1}/organizations", OF_ALL, ok=201, body=NAMED),
    Route("PATCH", f"{V1}/organizations/{ONE}", ADMINS, "path", body=NAMED),
    Route("GET", TOKENS, ADMINS, "path"),
    Route("POST", TOKENS, ADMINS, "path", 201, NAMED | {"role": "member"}),
    Route("DELETE", f"{TOKENS}/<id:token_id>", ADMINS, "path", 204),
    Route("GET", f"{V1}/syncs", OF_ONE),
    Route("GET", f"{V1}/runs", OF_ONE),
    Route("GET", f"{V1}/runs", OF_ONE, "query"),
    Route("POST", f"{V1}/runs", OF_ONE, "header", 202, START),
    Route("POST", f"{V1}/runs", OF_ONE, "body", 202, START),
    Route("GET", RUN, OF_A_RUN, "run"),
    Route("GET", f"{RUN}/changes", OF_A_RUN, "run"),
    Route("GET", f"{RUN}/errors", OF_A_RUN, "run"),
    Route("GET", f"{RUN}/events", OF_A_RUN, "run", 204),
    Route("POST", f"{RUN}/cancel", OF_A_RUN, "run", 202, run="starting"),
    Route("POST", f"{RUN}/retry", OF_A_RUN, "run", 202),
    Route("POST", f"{RUN}/errors/replay", OF_A_RUN, "run", 202),
    Route("POST", f"{RUN}/undo", OF_A_RUN, "run", 409),
    Route("GET", f"{V1}/schedules", OF_ALL),
    Route("PATCH", f"{V1}/schedules/<name>", OF_ALL, body={"enabled": True}),
    Route("GET", f"{V1}/audit", ADMINS),
    Route("GET", f"{V1}/audit", ADMINS, "query"),
]


@dataclass
class World:
    practice: Practice
    tokens: dict[str, str | None]

    @property
    def api(self) -> Api:
        return self.practice.api

    def call(self, route: Route, who: str, target: str, also: str | None = None) -> TestResponse:
        """`also` is an organization that the header names besides."""
        asked: dict[str, Any] = {"json": copy(route.body)} if route.body else {}
        if route.place == "query" and target:
            asked["query_string"] = {"organization_id": target}
        if route.place == "body" and target:
            asked["json"]["organization_id"] = target
        header = target if route.place == "header" else also
        headers = {"X-Organization-ID": header} if header else {}
        return self.api.call(route.method, route.path(target), token=self.tokens[who], headers=headers, **asked)

    def renew(self, route: Route) -> None:
        """A run of each organization, none else in flight."""
        self.api.execute("DELETE FROM sync_runs")
        for one in ORGANIZATIONS:
            row = {"sync": "cliniko", "mode": "basic", "organization_id": one, "status": route.run}
            add_dead_letter(self.api, self.api.add_run(f"sync_{one}", **row), organization_id=one, stream="patients")

    def rows(self) -> list[dict[str, Any]]:
        """All that a request may change, but for when a token was last used."""
        names = ["sync_runs", "dead_letters", "credentials", "organizations", "schedules", "audit_log", "run_events"]
        names += ["sync_setting_values", "properties"]
        kept = [row for name in names for row in self.api.query(f"SELECT t::text FROM {name} t ORDER BY 1")]
        return kept + self.api.query("SELECT id, revoked_at FROM tokens ORDER BY id")


@pytest.fixture
def world(practice: Practice) -> World:
    practice.api.app.extensions[EXTENSION].__dict__["rate_limit"] = NoLimit()
    practice.upstream.api.add(KEY)
    object.__setattr__(practice.api.settings, "cupid_api_key", SecretStr("key"))
    practice.api.execute("INSERT INTO properties (organization_id, external_id) VALUES ('default', '12')")
    for one in ("acme", "other"):
        practice.api.add_organization(one)
    for one in ORGANIZATIONS:
        answer = practice.api.call("PUT", f"/api/v1/cliniko/credentials/{one}", json={"api_key": KEY})
        assert answer.status_code == 200
        row = (f"tok_{one}", one, f"tok_{one}".encode())
        practice.api.execute(
            "INSERT INTO tokens (id, organization_id, name, role, token_hash) VALUES (%s, %s, 'x', 'member', %s)", *row
        )
    tokens: dict[str, str | None] = {"admin": practice.api.token, "nobody": None, "stranger": "nonsense"}
    members = {"acme": practice.api.make_token("acme"), "home": practice.api.make_token("default")}
    return World(practice, tokens | members)


def test_every_route_is_in_the_table(api: Api) -> None:
    rules = list(api.app.url_map.iter_rules())
    listed = {(method, rule.rule) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert {one for one in listed if one[1] not in OPEN} == {(route.method, route.rule) for route in ROUTES}
    opened = {rule.rule for rule in rules if getattr(api.app.view_functions[rule.endpoint], "is_open", False)}
    assert opened == OPEN


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_who_may_do_what(world: World, route: Route) -> None:
    found: dict[str, dict[str, int]] = {}
    for who, answers in route.answers.items():
        targets = [target for target in answers if target or route.place not in ("path", "run")]
        found[who] = {target: ask(world, route, who, target) for target in targets}
    expected = {
        who: {target: answers[target] or route.ok for target in found[who]} for who, answers in route.answers.items()
    }
    assert found == expected


def ask(world: World, route: Route, who: str, target: str) -> int:
    """The answer's status. What is refused changes nothing, and a member is told nothing of others."""
    world.renew(route)
    before = world.rows()
    answer = world.call(route, who, target)
    if answer.status_code >= 400:
        check_error(answer, answer.status_code)
        assert world.rows() == before
    elif who != "admin":
        own, told = {"acme": "acme", "home": "default"}[who], answer.get_data(as_text=True)
        assert [one for one in ORGANIZATIONS if one != own and (f"sync_{one}" in told or f'_id":"{one}' in told)] == []
    return answer.status_code


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_without_a_good_token(world: World, who: str) -> None:
    for route in ROUTES:
        world.renew(route)
        before = world.rows()
        for target in ("acme", "default", "nobody"):
            answer = world.call(route, who, target)
            check_error(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert world.rows() == before


@pytest.mark.parametrize("route", [one for one in ROUTES if one.place != "header"], ids=str)
def test_a_header_that_names_another(world: World, route: Route) -> None:
    """Two names that disagree are a malformed request; of an organization that is named, another's run is none."""
    world.renew(route)
    before = world.rows()
    for target, also in (("acme", "other"), ("acme", "nobody"), ("nobody", "acme")):
        check_error(world.call(route, "admin", target, also), 404 if route.place == "run" else 400)
    for who, target, also in (("acme", "acme", "other"), ("home", "acme", "default"), ("home", "acme", "acme")):
        assert world.call(route, who, target, also).status_code in (400, 403, 404)
    assert world.rows() == before


@pytest.mark.parametrize("who", ["acme", "home"])
def test_foreign_and_unknown_look_alike(world: World, who: str) -> None:
    for route in ROUTES:
        world.renew(route)
        foreign, unknown = (world.call(route, who, target) for target in ("other", "nobody"))
        if foreign.status_code >= 400:
            details = [answer.get_json()["details"] for answer in (foreign, unknown)]
            assert str(details[0]).replace("sync_other", "sync_nobody") == str(details[1]), route
