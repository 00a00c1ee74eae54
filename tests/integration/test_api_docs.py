"""The OpenAPI document and Swagger UI; and that the answers are what the document says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.api import Api

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/docs/swagger.json", token=None).get_json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def resolve(document: dict[str, Any], node: Any) -> Any:
    """The node a $ref points to. Raises KeyError for one that points nowhere."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def references(node: Any) -> Iterator[dict[str, str]]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_the_version(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "syncapp"


def test_both_addresses_serve_it(api: Api, document: dict[str, Any]) -> None:
    assert api.get("/openapi.json", token=None).get_json() == document


def test_every_reference_points_somewhere(document: dict[str, Any]) -> None:
    for node in references(document):
        resolve(document, node)


def test_every_route_is_described(api: Api, document: dict[str, Any]) -> None:
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/docs", "/openapi"))
    }
    assert {(method, path) for method, path, _ in operations(document)} == served


def test_every_path_parameter_is_described(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        named = {one["name"] for one in item.get("parameters", []) if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_operations(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        statuses = set(operation["responses"])
        assert operation["summary"], path
        assert {"500", "503"} <= statuses
        assert any(status.startswith("2") for status in statuses)
        if operation.get("security") != []:
            assert {"401", "403"} <= statuses
        assert ({"413", "415"} <= statuses) == ("requestBody" in operation), path
        if "202" in statuses and not path.endswith("/cancel"):
            assert {"404", "409", "422", "429"} <= statuses, (method, path)


def test_tokens(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"bearer": []}]
    opened = {path for _, path, operation in operations(document) if operation.get("security") == []}
    assert opened == {"/healthz", "/readyz", "/api/v1/health"}


def test_errors_have_their_shape_and_an_example(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or (path in ("/readyz", "/api/v1/health") and status == "503"):
                continue
            content = resolve(document, response)["content"]["application/json"]
            assert set(resolve(document, content["schema"])["properties"]) == set(content["example"])


def test_answers_have_examples_that_are_what_the_document_says(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or (path in ("/readyz", "/api/v1/health") and status == "503"):
                for content in resolve(document, response).get("content", {}).values():
                    check(document, content["schema"], content["example"], f"{path} {status}")


def test_a_stream_is_described_as_one(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/runs/{sync_id}/events"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"text/event-stream"}
    assert "content" not in operation["responses"]["204"]
    assert "Last-Event-ID" in {one.get("name") for one in operation["parameters"] if one["in"] == "header"}


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_swagger_ui_needs_no_other_host(api: Api, path: str) -> None:
    page = api.get(path, token=None).get_data(as_text=True)
    assert "/docs/swagger.json" in page
    assert "://" not in re.sub(r"http://localhost/docs\S*", "", page)
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(sources) >= 4
    for source in sources:
        with api.get(source, token=None) as answer:
            assert answer.status_code == 200, source
            assert answer.get_data()


READS = ["/api/v1/runs", "/api/v1/sync/status", "/api/v1/syncs", "/api/v1/schedules", "/readyz", "/api/v1/health"]
TRIGGERS = ["/api/v1/sync/clients", "/api/v1/sync/appointments", "/api/v1/sync/all", "/api/v1/sync/force"]


@pytest.mark.parametrize(
    ("method", "path"), [*(("get", path) for path in READS), *(("post", path) for path in TRIGGERS)]
)
def test_answers_are_what_the_document_says(api: Api, document: dict[str, Any], method: str, path: str) -> None:
    api.add_run("sync_x")
    answer = api.call(method.upper(), path)
    described = resolve(document, document["paths"][path][method]["responses"][str(answer.status_code)])
    check(document, described["content"]["application/json"]["schema"], answer.get_json(), path)


KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def check(document: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> None:
    """A small part of JSON Schema: types, required and known properties, items."""
    if "anyOf" in schema:
        schema = next(one for one in schema["anyOf"] if (one.get("type") == "null") == (value is None))
    schema = resolve(document, schema)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    assert not kinds or any(isinstance(value, KINDS[kind]) for kind in kinds), (where, value, schema)
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"]), where
        for name, inner in value.items():
            check(document, schema["properties"][name], inner, f"{where}.{name}")
    if isinstance(value, list):
        for number, inner in enumerate(value):
            check(document, schema["items"], inner, f"{where}[{number}]")
