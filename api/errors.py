"""Every error in one shape, whatever raised it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g
from gunicorn.http.errors import ParseException
from psycopg import Error as DriverError
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import BadRequest, HTTPException

from api.context import services
from api.rendering import error_body
from syncapp.errors import RequestRefused, SyncError, TransientError, ValidationFailed

log = structlog.get_logger(__name__)

# error_type: HTTP status, title. A closed list; the contract names every one of them.
ERROR_TYPES: dict[str, tuple[int, str]] = {
    "credentials_not_found": (409, "Sync is not configured"),
    "api_connection_failed": (502, "Upstream cannot be reached"),
    "rate_limit_exceeded": (429, "Too many requests"),
    "invalid_data_format": (502, "Upstream sent invalid data"),
    "database_error": (503, "Database is unavailable"),
    "circuit_open": (503, "Circuit is open"),
    "sync_disabled": (409, "Sync is disabled"),
    "cancelled": (409, "Run was cancelled"),
    "validation_error": (422, "Validation failed"),
    "unauthorized": (401, "Not authenticated"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "Not found"),
    "conflict": (409, "Conflict"),
    "mass_delete_refused": (409, "Mass delete refused"),
    "stale": (409, "Run is stale"),
    "internal_error": (500, "Internal error"),
}
# HTTP status: error_type, error_code, message, for what Flask itself refuses
REFUSED: dict[int, tuple[str, str, str]] = {
    400: ("validation_error", "BAD_REQUEST", "The request is malformed"),
    404: ("not_found", "ROUTE_NOT_FOUND", "There is no such route"),
    405: ("validation_error", "METHOD_NOT_ALLOWED", "The route does not take this method"),
    413: ("validation_error", "BODY_TOO_LARGE", "The body is too large"),
    415: ("validation_error", "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json"),
    422: ("validation_error", "VALIDATION_ERROR", "The request holds values that are not valid"),
}


class Malformed(ValidationFailed):
    """A request that cannot be understood at all: 400, where a value that is not allowed is 422."""

    status = 400
    default_code = "BAD_REQUEST"


def register_error_handlers(app: Flask) -> None:
    app.register_error_handler(SyncError, on_sync_error)
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(DBAPIError, on_database_error)
    app.register_error_handler(DriverError, on_database_error)
    app.register_error_handler(ParseException, lambda _: on_http_error(BadRequest()))  # gunicorn's, within a body
    app.register_error_handler(Exception, on_bug)


def answer(
    error_type: str,
    error_code: str,
    message: str,
    *,
    status: int | None = None,
    retry_after: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A response in the contract's error shape. `retry_after` is in seconds, `more` stands beside the message."""
    g.error_code = error_code  # for the log
    usual, title = ERROR_TYPES[error_type]
    if status is not None and status != usual:
        title = HTTPStatus(status).phrase
    status = status or usual
    details = {"error_type": error_type, "message": message, "error_code": error_code, **(more or {})}
    headers = {}
    if retry_after is not None:
        details["retry_after"] = max(1, math.ceil(retry_after))
        headers["Retry-After"] = str(details["retry_after"])
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = error_body(title, details, services().clock())
    return Response(body, status, headers, mimetype="application/json")


def on_sync_error(error: SyncError) -> Response:
    more = error.details if isinstance(error, RequestRefused) else None
    retry_after = error.retry_after if isinstance(error, TransientError) else None
    status = error.status if isinstance(error, Malformed) else None
    return answer(error.error_type, error.error_code, error.message, status=status, retry_after=retry_after, more=more)


def on_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return answer("internal_error", "INTERNAL_ERROR", "Something went wrong on our side", status=status)
    error_type, error_code, message = REFUSED.get(
        status, ("validation_error", error.name.upper().replace(" ", "_"), error.name)
    )
    fields = (getattr(error, "data", None) or {}).get("messages")
    more = {"fields": _fields(fields)} if isinstance(fields, Mapping) else None
    made = answer(error_type, error_code, message, status=status, more=more)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            made.headers[name] = value
    return made


def _fields(messages: Mapping[Any, Any]) -> dict[str, Any]:
    """webargs names the location first; a caller wants the field."""
    found: dict[str, Any] = {}
    for location, problems in messages.items():
        if isinstance(problems, Mapping):
            found.update({str(name): problem for name, problem in problems.items()})
        else:
            found[str(location)] = problems
    return found


def on_database_error(error: Exception) -> Response:
    log.error("database error", exc_info=error)
    return answer("database_error", "DATABASE_ERROR", "The database could not answer", retry_after=5)


def on_bug(error: Exception) -> Response:
    log.error("bug", exc_info=error)
    return answer("internal_error", "INTERNAL_ERROR", "Something went wrong on our side; the log has it by request id")
