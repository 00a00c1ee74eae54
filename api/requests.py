"""What happens around every request: its id, its line in the log, bounds, and other origins."""

from __future__ import annotations

import random
import re
import time

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from config.settings import Settings

log = structlog.get_logger("api.request")

REQUEST_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
LARGEST_BODY = 1024 * 1024
PROBES = ("/healthz", "/readyz")
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-CSRF-Token, X-Organization-ID, X-Request-ID"
)
EXPOSED_HEADERS = "Retry-After, X-Request-ID"
METHODS = "GET, POST, PUT, PATCH, DELETE"


def new_request_id() -> str:
    """No secret, so no system call: it would have every other thread of the process take its turn first."""
    return f"{random.getrandbits(128):032x}"


def watch_requests(app: Flask) -> None:
    """Gives every request an id, which stands in its answer and in every log line, and bounds its body."""
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else new_request_id()
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if (request.content_length or 0) > LARGEST_BODY:
        raise RequestEntityTooLarge


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    milliseconds = round((time.perf_counter() - g.began) * 1000, 1)
    more = {"error_code": g.error_code} if "error_code" in g else {}
    write = log.debug if request.path in PROBES and response.status_code < 400 else log.info
    write("request", method=request.method, path=request.path, status=response.status_code, ms=milliseconds, **more)
    return response


def allow_origins(app: Flask, settings: Settings) -> None:
    """Lets pages of the origins in CORS_ORIGINS (comma-separated, `*` for any) use the API with a token."""
    allowed = {origin.strip().rstrip("/") for origin in settings.cors_origins.split(",") if origin.strip()}
    if not allowed:
        return

    def add_headers(response: Response) -> Response:
        origin = request.headers.get("Origin")
        response.vary.add("Origin")
        if origin is None or not ({origin, "*"} & allowed):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = "600"
        return response

    app.after_request(add_headers)
