"""One error shape whatever goes wrong, and nothing hostile that becomes a 500."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.api import Api, check_error

MEBIBYTE = 1024 * 1024
GETS = [
    "/api/v1/runs",
    "/api/v1/runs/sync_x/changes",
    "/api/v1/runs/sync_x/errors",
    "/api/v1/syncs",
    "/api/v1/schedules",
]
HOSTILE = ["\x00", "'; DROP TABLE sync_runs; --", "x" * 5000, "\u202e", "%00", "ä" * 300, "\r\nX: y", "{{7*7}}", "-1"]


@pytest.mark.parametrize("path", ["/", "/nope", "/api/v1/nope", "/api/v1/runs/a/b/c", "/docs/none.js", "//healthz"])
def test_unknown_routes(api: Api, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        check_error(api.call(method, path), 405 if path.startswith("/docs") and method != "GET" else 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/v1/runs"), ("PUT", "/api/v1/sync/all"), ("GET", "/api/v1/sync/all"), ("POST", "/healthz")],
)
def test_methods(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path)
    check_error(answer, 405, "validation_error")
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "body", ["{", "", "{'a': 1}", '{"a": NaN}', "\xff", '{"a": 1} x', '{"a": "\ud800"}', "[" * 5000]
)
def test_malformed_json(api: Api, body: str) -> None:
    raw = body.encode("utf-8", "surrogatepass") if body != "\xff" else b"\xff\xfe"
    answer = api.post("/api/v1/runs", data=raw, content_type="application/json")
    check_error(answer, 400 if body else 422, "validation_error")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_other_kinds_of_body(api: Api, kind: str) -> None:
    answer = api.post("/api/v1/runs", data=b'{"sync": "clients"}', content_type=kind)
    check_error(answer, 415, "validation_error")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.api+json"])
def test_other_names_of_json(api: Api, kind: str) -> None:
    assert api.post("/api/v1/runs", data=b'{"sync": "clients"}', content_type=kind).status_code == 202


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/sync/all", "/nope"])
def test_bodies_that_are_too_large(api: Api, path: str) -> None:
    answer = api.post(path, data=b" " * (MEBIBYTE + 1), content_type="application/json")
    check_error(answer, 413, "validation_error")


def test_a_large_body_that_does_not_say_so(api: Api) -> None:
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    body = b'{"sync": "' + b"x" * MEBIBYTE + b'"}'
    answer = api.post("/api/v1/runs", data=body, content_type="application/json", environ_overrides=environ)
    check_error(answer, 413, "validation_error")


LIMITS = ["0", "101", "-1", "x", "", "1.5", "1e1", "9" * 30, "9" * 5000, "\x00", "0x10"]
CURSORS = [
    "x",
    "",
    "\x00",
    "e30",
    "W10",
    "WzEsMl0",
    "bnVsbA",
    "a" * 600,
    "ä",
    "WyIyMDI1LTAxLTAxIiwgIngiXQ",
    "====",
    "-_-_",
]
OVERFLOWING = "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTE0OjAwIiwieCJd"
FILTERS = ["sync", "organization_id", "status", "trigger", "since", "cursor", "limit", "other"]
HEADERS = ["X-Organization-ID", "Idempotency-Key", "X-Request-ID", "Authorization", "Origin"]


@pytest.mark.parametrize("path", GETS)
def test_limits_and_offsets(api: Api, path: str) -> None:
    for limit in LIMITS:
        details = check_error(api.get(path, query_string={"limit": limit}), 422, "validation_error")
        assert set(details["fields"]) == {"limit"}
    for offset in ("-1", "x", "9" * 30) if path != GETS[0] else ():
        details = check_error(api.get(path, query_string={"offset": offset}), 422, "validation_error")
        assert set(details["fields"]) == {"offset"}


def test_cursors(api: Api) -> None:
    for cursor in CURSORS:
        details = check_error(api.get("/api/v1/runs", query_string={"cursor": cursor}), 422, "validation_error")
        assert set(details["fields"]) == {"cursor"}


def test_a_cursor_from_the_end_of_time(api: Api) -> None:
    assert api.get("/api/v1/runs", query_string={"cursor": OVERFLOWING}).status_code == 200


@pytest.mark.parametrize("name", FILTERS)
def test_hostile_filters(api: Api, name: str) -> None:
    for value in HOSTILE:
        assert api.get("/api/v1/runs", query_string={name: value}).status_code in (200, 404, 422)


@pytest.mark.parametrize("path", ["/api/v1/runs/{}", "/api/v1/runs/{}/changes", "/api/v1/{}", "/{}"])
def test_hostile_paths(api: Api, path: str) -> None:
    for value in HOSTILE:
        check_error(api.get(path.format(quote(value, safe=""))), 404, "not_found")


@pytest.mark.parametrize("header", HEADERS)
def test_hostile_headers(api: Api, header: str) -> None:
    for value in ("\x00", "'; --", "x" * 5000, "\xff\xfe", "{{7*7}}", "\t", ""):
        answer = api.post("/api/v1/sync/clients", headers={header: value})
        assert answer.status_code in (202, 401, 422)
        if answer.status_code != 202:
            check_error(answer, answer.status_code)


@pytest.mark.parametrize("value", ["a", "a.b-c_d", "9" * 128])
def test_a_request_id_is_taken_over(api: Api, value: str) -> None:
    assert api.get("/nope", headers={"X-Request-ID": value}).headers["X-Request-ID"] == value


@pytest.mark.parametrize("value", ["", "a b", "x" * 129, "ä", "a\x00", "<script>", "a\tb"])
def test_a_request_id_that_is_none_is_replaced(api: Api, value: str) -> None:
    answer = api.get("/healthz", headers={"X-Request-ID": value})
    assert answer.headers["X-Request-ID"] not in ("", value)


class TestSchedules:
    """PATCH /api/v1/schedules/{name}"""

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "_schema"),
            ({"cron": "* * *"}, "cron"),
            ({"cron": "0 0 30 2 *"}, "cron"),
            ({"cron": "\x00"}, "cron"),
            ({"cron": 5}, "cron"),
            ({"interval": "soon"}, "interval"),
            ({"interval": True}, "interval"),
            ({"interval": [1]}, "interval"),
            ({"interval": -5}, "interval"),
            ({"interval": 59}, "interval"),
            ({"interval": "32d"}, "interval"),
            ({"interval": "1h", "cron": "* * * * *"}, "interval"),
            ({"timezone": "Mars/Olympus"}, "timezone"),
            ({"timezone": "../../etc/passwd"}, "timezone"),
            ({"enabled": "perhaps"}, "enabled"),
            ({"name": "x"}, "name"),
        ],
    )
    def test_what_is_not_valid(self, api: Api, body: dict[str, Any], field: str) -> None:
        details = check_error(api.patch("/api/v1/schedules/clients", json=body), 422, "validation_error")
        assert set(details["fields"]) == {field}
        assert api.get("/api/v1/schedules").get_json()["items"][0]["cron"] == "0 */6 * * *"

    @pytest.mark.parametrize("name", ["nothing", "%00", "x" * 1000])
    def test_unknown(self, api: Api, name: str) -> None:
        check_error(api.patch(f"/api/v1/schedules/{name}", json={"enabled": True}), 404, "not_found")


def test_a_bug_says_nothing_of_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("SELECT secret FROM psycopg")

    monkeypatch.setattr("syncapp.queries.list_runs", explode)
    answer = api.get("/api/v1/runs", headers={"X-Request-ID": "here"})
    check_error(answer, 500, "internal_error")
    assert answer.headers["X-Request-ID"] == "here"


def test_a_database_that_is_not_migrated(api: Api) -> None:
    api.execute("DROP TABLE schedules CASCADE")
    check_error(api.get("/api/v1/schedules"), 503, "database_error")
