"""Schemas in the OpenAPI document: what marshmallow's fields and validators cannot tell of them."""

from __future__ import annotations

from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields


class Embedded(fields.String):
    """A text that holds JSON of a shape of its own."""

    def __init__(self, shape: type[Schema], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = shape


class Converter(OpenAPIConverter):
    """`Meta.json_schema` holds what is to be added to a schema, such as a rule for several fields together;
    `Meta.json_list` what is to be added to a list of them."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return found | getattr(schema.Meta, "json_schema", {})

    def resolve_nested_schema(self, schema: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().resolve_nested_schema(schema)  # type: ignore[no-untyped-call]
        return found | getattr(schema.Meta, "json_list", {}) if getattr(schema, "many", False) else found

    def field2property(self, field: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().field2property(field)
        if isinstance(field, Embedded):
            shape = self.resolve_nested_schema(field.shape)
            found |= {"contentMediaType": "application/json", "contentSchema": shape}
        return found


class SchemaPlugin(MarshmallowPlugin):
    Converter = Converter
