"""The OpenAPI document, Swagger UI, and a blueprint that documents what all routes have in common."""

from __future__ import annotations

import json
from copy import deepcopy
from http import HTTPStatus
from typing import Any

import flask_smorest
from flask import Flask, Response
from flask.typing import ResponseReturnValue
from flask_smorest.utils import prepare_response
from flask_swagger_ui import get_swaggerui_blueprint
from marshmallow import Schema
from orjson import JSONDecodeError, loads
from webargs import missing
from webargs.flaskparser import FlaskParser, is_json_request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from api.auth import HEADER, open_to_all
from api.errors import ERROR_TYPES, REFUSED
from api.requests import LARGEST_BODY
from api.schemas.common import ORGANIZATION_ID, SYNC_ID, TIME_EXAMPLE, ErrorSchema
from api.schemas.plugin import SchemaPlugin
from api.triggers import HEADER as KEY_HEADER
from api.triggers import KEY

DOCUMENT = "/docs/swagger.json"
DESCRIPTION = """Keeps data in step between systems: triggers, runs, schedules and health of every sync.

Triggers answer 202 at once with the run's `sync_id`; ask `GET /api/v1/runs/{sync_id}` how it goes.
Send `Authorization: Bearer <token>`; `syncapp tokens create` makes one. Where an identity provider is configured, its
JWTs are taken too."""
EXAMPLES = {
    status: error_type
    for error_type, (status, _) in reversed(ERROR_TYPES.items())
    if error_type not in ("credentials_not_found", "cancelled", "stale")
}
ADMINS_ONLY = "Admins only."
ORGANIZATION_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The organization the request is for. Members: their own alone, which is also the default.",
    "schema": {"type": "string", "pattern": ORGANIZATION_ID},
}
_WAIT = {"Retry-After": {"description": "Seconds, as `retry_after`.", "schema": {"type": "integer", "minimum": 1}}}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}, "required": True}},
    429: _WAIT,
    503: _WAIT,
}
KEY_PARAMETER = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "A retried POST returns the first answer, for 24 hours. The same key with another request: 422.",
    "schema": {"type": "string", "pattern": KEY.pattern},
}


class SyncId(BaseConverter):
    """The id of a run, or of something else that we named, in a path; what cannot be one is no route."""

    regex = SYNC_ID


class OrganizationId(BaseConverter):
    """The id of an organization in a path. What cannot be one is told so: `api.auth` checks it in every place."""


class BodyParser(FlaskParser):
    """Reads JSON bodies with orjson, and says 415 to other types instead of ignoring them."""

    def _raw_load_json(self, req: Any) -> Any:
        raw = req.get_data(cache=True)
        if not raw:
            return missing
        if req.content_length is None and len(raw) >= LARGEST_BODY:  # Werkzeug cuts a chunked body off at the limit
            raise RequestEntityTooLarge
        if not is_json_request(req):
            raise UnsupportedMediaType
        return loads(raw)

    def load_json(self, req: Any, schema: Schema) -> Any:  # noqa: ARG002
        try:
            return self._raw_load_json(req)
        except JSONDecodeError as error:
            return self._handle_invalid_json_error(error, req)


class Blueprint(flask_smorest.Blueprint):
    """Adds to each route's documentation who may call it and how it fails."""

    ARGUMENTS_PARSER = BodyParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._prepare_access_doc)

    def _store_endpoint_docs(self, endpoint: str, obj: Any, parameters: Any, tags: Any, **options: Any) -> None:
        super()._store_endpoint_docs(endpoint, obj, parameters, tags, **options)
        marks = {name: getattr(obj, name, False) for name in ("is_open", "is_admin_only", "is_trigger", "is_counted")}
        for method, info in self._docs[endpoint].items():
            if method != "parameters":
                info["access"] = marks | {"operation": f"{self.name}_{endpoint}"}

    def _prepare_access_doc(self, doc: dict[str, Any], info: dict[str, Any], **_: Any) -> dict[str, Any]:
        marks = info["access"]
        doc["operationId"] = marks["operation"]
        statuses = [500, 503]
        if marks["is_open"]:
            doc["security"] = []
        else:
            statuses += [400, 401, 403, 422, 502]
            doc.setdefault("parameters", []).append(deepcopy(ORGANIZATION_PARAMETER))
        if marks["is_admin_only"]:
            told = info["docstring"]
            told["description"] = "\n\n".join(filter(None, [told.get("description"), ADMINS_ONLY]))
        if marks["is_trigger"]:
            statuses += [404, 409, 429]
            doc.setdefault("parameters", []).append(deepcopy(KEY_PARAMETER))
        if marks["is_counted"]:
            statuses.append(429)
        if "requestBody" in doc:
            statuses += [413, 415]
        for status in statuses:
            doc["responses"].setdefault(status, HTTPStatus(status).name)
        doc["responses"] = dict(sorted(doc["responses"].items(), key=lambda one: int(one[0])))
        return doc


class Api(flask_smorest.Api):
    """Errors are handled in `api.errors`; here they are documented."""

    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # every operation names its errors

    def _register_error_handlers(self) -> None:
        """`api.errors` does it."""

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                response |= {"schema": ErrorSchema, "example": example(status), "headers": HEADERS.get(status, {})}
            prepare_response(response, self.spec, self.DEFAULT_RESPONSE_CONTENT_TYPE)
            self.spec.components.response(status.name, response, lazy=True)


def example(status: int) -> dict[str, Any]:
    error_type = REFUSED.get(status, (EXAMPLES.get(status, "validation_error"),))[0]
    title = ERROR_TYPES[error_type][1]
    details: dict[str, Any] = {"error_type": error_type, "message": title, "error_code": error_type.upper()}
    if status in (429, 503):
        details["retry_after"] = 5
    if status == 422:
        details["fields"] = {"limit": ["Must be greater than or equal to 1 and less than or equal to 100."]}
    return {"success": False, "error": title, "details": details, "timestamp": TIME_EXAMPLE}


def make_api(app: Flask) -> Api:
    """The Api on which blueprints are registered."""
    app.url_map.converters |= {"sync_id": SyncId, "id": SyncId, "organization": OrganizationId}
    app.config.update(
        API_TITLE="syncapp",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION},
            "security": [{"bearer": []}],
            "servers": [{"url": "/"}],
        },
    )
    api = Api(app, spec_kwargs={"marshmallow_plugin": SchemaPlugin()})
    api.register_converter(SyncId, lambda _: {"type": "string", "pattern": f"^{SYNC_ID}$"})
    api.register_converter(OrganizationId, lambda _: {"type": "string", "pattern": ORGANIZATION_ID})
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    return api


def serve_docs(app: Flask, api: Api) -> None:
    """Swagger UI at /docs, from files that are installed with us, and the document. Call it last."""
    document = json.dumps(api.spec.to_dict())

    @open_to_all
    def openapi_document() -> ResponseReturnValue:
        return Response(document, mimetype="application/json")

    for number, path in enumerate((DOCUMENT, "/openapi.json")):
        app.add_url_rule(path, f"openapi_{number}", openapi_document)
    config = {"app_name": "syncapp", "validatorUrl": None, "oauth2RedirectUrl": "/docs/oauth2-redirect.html"}
    app.register_blueprint(get_swaggerui_blueprint("/docs", DOCUMENT, config=config))
    show = open_to_all(app.view_functions["swagger_ui.show"])
    app.add_url_rule("/docs", "docs", show, strict_slashes=True)
