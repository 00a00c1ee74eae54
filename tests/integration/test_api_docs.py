"""The OpenAPI document is complete, and Swagger UI shows it without reaching the internet.

That the answers are what it says: `test_api_examples`, and `tests/e2e/test_document.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from schemathesis.specs.openapi import definitions

from api.errors import ERROR_TYPES, REFUSED
from tests.integration.api import Api
from tests.openapi import Document, Operation, read_document

DOCUMENT = read_document()
OPERATIONS = DOCUMENT.operations
HEALTH = {"/readyz", "/api/v1/health"}  # 503 is an answer like any other
FOREIGN = re.compile(
    r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""", re.IGNORECASE
)


@pytest.fixture
def document(api: Api) -> Document:
    """As it is served."""
    return Document(api.get("/docs/swagger.json", token=None).get_json())


def references(node: Any) -> Iterator[dict[str, str]]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def errors(operation: Operation) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, response in operation.responses.items():
        if status >= 400 and not (status == 503 and operation.path in HEALTH):
            yield status, response


def test_the_version(document: Document) -> None:
    assert document.raw["openapi"] == "3.1.0"
    assert document.raw["info"]["title"] == "syncapp"


def test_it_is_valid(document: Document) -> None:
    assert [error.message for error in definitions.OPENAPI_31_VALIDATOR.iter_errors(document.raw)] == []


def test_both_addresses_serve_the_same(api: Api, document: Document) -> None:
    assert document == DOCUMENT
    served = [api.get(path, token=None) for path in ("/docs/swagger.json", "/openapi.json")]
    assert served[0].get_data() == served[1].get_data()
    assert {answer.mimetype for answer in served} == {"application/json"}


def test_every_reference_points_somewhere() -> None:
    for node in references(DOCUMENT.raw):
        DOCUMENT.resolve(node)


def test_every_route_is_described(api: Api) -> None:
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/docs", "/openapi"))
    }
    assert {(operation.method, operation.path) for operation in OPERATIONS} == served


def test_operations_have_ids_of_their_own() -> None:
    ids = Counter(operation.raw["operationId"] for operation in OPERATIONS)
    assert [name for name, count in ids.items() if count > 1] == []
    assert all(re.fullmatch(r"\w+", name) for name in ids)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_an_operation_says_what_it_is(operation: Operation) -> None:
    tags = {tag["name"] for tag in DOCUMENT.raw["tags"] if tag["description"]}
    assert operation.raw["summary"]
    assert operation.raw["tags"]
    assert set(operation.raw["tags"]) <= tags
    assert operation.names("path") == set(re.findall(r"{(\w+)}", operation.path))
    assert all("schema" in parameter for parameter in operation.parameters)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_an_operation_says_who_may_call_it(operation: Operation) -> None:
    assert operation.is_open == (operation.path in HEALTH | {"/healthz"})
    if not operation.is_open:
        assert "security" not in operation.raw  # the document's own holds
        assert {401, 403} <= set(operation.responses)
        assert "X-Organization-ID" in operation.names("header")


def test_tokens() -> None:
    assert DOCUMENT.raw["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert DOCUMENT.raw["security"] == [{"bearer": []}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_an_operation_names_its_errors(operation: Operation) -> None:
    statuses = set(operation.responses)
    assert any(status < 300 for status in statuses)
    assert {500, 503} <= statuses
    assert operation.is_open or {400, 422} <= statuses
    assert ({413, 415} <= statuses) == (operation.body is not None)
    assert not operation.names("path") & {"sync_id", "token_id", "organization_id"} or 404 in statuses
    if "Idempotency-Key" in operation.names("header"):
        assert {202, 404, 409, 422, 429} <= statuses
    else:
        assert 202 not in statuses or operation.path.endswith("/cancel")


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_examples_of_answers(operation: Operation) -> None:
    for status, response in operation.responses.items():
        assert response["description"]
        assert ("content" in response) == (status != 204)
        for content in response.get("content", {}).values():
            assert DOCUMENT.problems(content["schema"], content["example"]) == [], status


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.body], ids=str)
def test_examples_of_what_is_sent(operation: Operation) -> None:
    assert operation.body is not None
    assert operation.raw["requestBody"]["required"] is True
    assert DOCUMENT.problems(operation.body["schema"], operation.body["example"]) == []


def test_examples_of_parameters() -> None:
    for operation in OPERATIONS:
        for parameter in operation.parameters:
            schema = parameter["schema"]
            for example in [schema["example"]] if "example" in schema else []:
                assert DOCUMENT.problems(schema, example) == [], (operation, parameter["name"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_errors_have_the_one_shape(operation: Operation) -> None:
    for status, response in errors(operation):
        (content,) = response["content"].values()
        assert content["schema"] == {"$ref": "#/components/schemas/Error"}
        details = content["example"]["details"]
        usual = REFUSED.get(status, (None,))[0] or details["error_type"]
        assert details["error_type"] == usual
        assert status in REFUSED or ERROR_TYPES[usual][0] == status
        assert ("retry_after" in details) == ("Retry-After" in response.get("headers", {}))


def test_a_stream_is_described_as_one() -> None:
    (operation,) = [one for one in OPERATIONS if one.path == "/api/v1/runs/{sync_id}/events"]
    assert set(operation.responses[200]["content"]) == {"text/event-stream"}
    assert "content" not in operation.responses[204]
    assert "Last-Event-ID" in operation.names("header")


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
            content = answer.get_data()
        assert content
        if source.endswith(".css"):
            assert FOREIGN.search(content.decode()) is None, source


def test_swagger_ui_knows_openapi_3_1(api: Api) -> None:
    with api.get("/docs/swagger-ui-bundle.js", token=None) as answer:
        versions = re.findall(rb'PACKAGE_VERSION:"(\d+)\.\d+\.\d+"', answer.get_data())
    assert versions
    assert all(int(major) >= 5 for major in versions)
