"""The OpenAPI document as tests read it: its operations, what they are asked, what they may answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from api.app import create_app
from api.openapi import ADMINS_ONLY
from config.settings import Settings
from tests.keys import SECRET_KEY

METHODS = ("get", "post", "put", "patch", "delete", "options", "head", "trace")


@dataclass(frozen=True)
class Operation:
    """`parameters` are the path's and its own, references resolved; so are `responses`, by status."""

    method: str
    path: str
    raw: dict[str, Any]
    parameters: list[dict[str, Any]]
    responses: dict[int, dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def is_open(self) -> bool:
        return self.raw.get("security") == []

    @property
    def is_admin_only(self) -> bool:
        return ADMINS_ONLY in self.raw.get("description", "")

    @property
    def body(self) -> dict[str, Any] | None:
        """The schema and the example of what is sent."""
        content = self.raw.get("requestBody", {}).get("content")
        return None if content is None else content["application/json"]

    def names(self, place: str) -> set[str]:
        """The parameters in the path, the query or a header."""
        return {one["name"] for one in self.parameters if one["in"] == place}


@dataclass(frozen=True)
class Document:
    raw: dict[str, Any]
    operations: list[Operation] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "operations", list(self._operations()))

    def resolve(self, node: Any) -> Any:
        """The node a $ref points to. Raises KeyError for one that points nowhere."""
        while isinstance(node, dict) and "$ref" in node:
            found: Any = self.raw
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def problems(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What of the value does not fit the schema; formats count."""
        whole = {"components": self.raw["components"], "allOf": [schema]}
        found = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return [f"{error.instance_path}: {error.message}" for error in found.iter_errors(value)]

    def _operations(self) -> Iterator[Operation]:
        for path, item in self.raw["paths"].items():
            for method in METHODS:
                if method in item:
                    raw = item[method]
                    parameters = [self.resolve(one) for one in item.get("parameters", []) + raw.get("parameters", [])]
                    responses = {int(status): self.resolve(one) for status, one in raw["responses"].items()}
                    yield Operation(method, path, raw, parameters, responses)


def read_document() -> Document:
    """For the names of tests: of an app that connects to nothing, as the tests are collected."""
    nowhere = {"database_url": "postgresql://nobody@127.0.0.1:9/none", "redis_url": "redis://127.0.0.1:9/0"}
    app = create_app(Settings(**nowhere, syncapp_secret_key=SECRET_KEY))
    (made,) = app.extensions["flask-smorest"]["apis"].values()
    return Document(json.loads(json.dumps(made["ext_obj"].spec.to_dict())))
