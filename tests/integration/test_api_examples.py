"""Every operation, asked with the document's own example, succeeds, and its answer is what the document says.

Whatever route is added is asked too; what its path may hold stands in `tests.furnished`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from tests.furnished import KEYS, PLACES, furnish
from tests.integration.api import Api
from tests.integration.cliniko import open_practice
from tests.openapi import Operation, read_document

DOCUMENT = read_document()


@pytest.fixture
def furnished(database_dsn: str, database_url: str, redis_url: str) -> Iterator[Api]:
    furnish(database_dsn)
    with open_practice(database_url, redis_url, cupid_api_key="key", cupid_api_url="http://127.0.0.1:9") as practice:
        for organization_id, key in KEYS.items():
            practice.upstream.api.add(key)
            answer = practice.api.call("PUT", f"/api/v1/cliniko/credentials/{organization_id}", json={"api_key": key})
            assert answer.status_code == 200
        yield practice.api


def ask(api: Api, operation: Operation) -> TestResponse:
    """The first answer that is a success, of those to all that may stand in the path; else the last one."""
    named = sorted(operation.names("path"))
    body = {"json": operation.body["example"]} if operation.body else {}
    for values in itertools.product(*(PLACES[name] for name in named)):
        path = operation.path.format(**dict(zip(named, values, strict=True)))
        answer = api.call(operation.method.upper(), path, **body)
        if answer.status_code < 300:
            break
    return answer


@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=str)
def test_the_example_succeeds(furnished: Api, operation: Operation) -> None:
    answer = ask(furnished, operation)
    assert answer.status_code < 300 or operation.path == "/readyz", answer.get_data(as_text=True)
    described = operation.responses[answer.status_code]
    if answer.status_code == 204:
        assert "content" not in described
        return
    schema = described["content"][answer.mimetype]["schema"]
    if answer.mimetype == "application/json":
        assert DOCUMENT.problems(schema, answer.get_json()) == []
        return
    for event in events(answer.get_data(as_text=True)):
        assert DOCUMENT.problems(schema, event) == []
        data = DOCUMENT.resolve(schema)["properties"]["data"]["contentSchema"]
        assert DOCUMENT.problems(data, json.loads(event["data"])) == []


def events(stream: str) -> list[dict[str, str]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in stream.strip().split("\n\n")]
    return [block for block in blocks if "data" in block]
