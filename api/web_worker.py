"""The web server's worker: its errors are in the one shape of every error, and a socket can be taken from it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import structlog
from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from api.rendering import error_body
from api.requests import new_request_id

log = structlog.get_logger("api.request")

MESSAGES = {
    414: "The address is too long",
    417: "What the Expect header asks for is not known here",
    431: "The headers are too many or too large",
    500: "Something went wrong on our side",
    501: "This transfer encoding is not known here",
}
ANSWER = (
    "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    "X-Content-Type-Options: nosniff\r\nX-Request-ID: {request_id}\r\n\r\n"
)


class HandedOver(BaseException):
    """The client's socket was taken over, together with all that is yet to be answered.

    No Exception: nobody on its way to the worker may take it for a failure, and write something.
    """


def take_socket(environ: Mapping[str, Any]) -> socket.socket | None:
    """The client's socket, for whoever raises HandedOver then. None where it is not to be had: another server, TLS,
    HTTP/2."""
    held = environ.get("gunicorn.socket")
    if type(held) is not socket.socket or not environ["SERVER_PROTOCOL"].startswith("HTTP/1."):
        return None
    return socket.socket(fileno=held.detach())


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """Of an error, gunicorn chooses the status and writes its log; only its page of HTML goes nowhere."""

    def handle(self, conn: Any) -> Any:
        try:
            return super().handle(conn)
        except HandedOver:
            return False

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        if conn.sock.fileno() == -1:  # handed over: the thread is free again, and there is nothing left to close
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        page = _Page()
        super().handle_error(req, page, addr, exc)
        request_id = new_request_id()
        structlog.contextvars.clear_contextvars()  # the thread's last request's
        log.info("request", status=page.status, request_id=request_id)
        try:
            util.write_nonblock(client, _answer(page.status, page.reason, request_id))
        except OSError as error:
            log.debug("request.unanswered", request_id=request_id, reason=str(error))


class _Page:
    """Stands in for the client's socket."""

    def __init__(self) -> None:
        self.status, self.reason = 400, "Bad Request"

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        _, status, self.reason = data.partition(b"\r\n")[0].decode("latin1").split(" ", 2)
        self.status = int(status)


def _answer(status: int, reason: str, request_id: str) -> bytes:
    details = {
        "error_type": "internal_error" if status == 500 else "validation_error",
        "message": MESSAGES.get(status, "The request is malformed"),
        "error_code": "INTERNAL_ERROR" if status == 500 else reason.upper().replace(" ", "_"),
    }
    body = error_body(reason, details, datetime.now(UTC))
    return ANSWER.format(status=status, reason=reason, length=len(body), request_id=request_id).encode() + body
