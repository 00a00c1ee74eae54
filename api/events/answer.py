"""The answer that lasts as long as its run, and holds no thread of the web server meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.http import http_date

from api.context import services
from api.errors import answer
from api.events.hub import Hub
from api.web_worker import HandedOver, take_socket
from syncapp.queries import Place

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TYPE = "text/event-stream"
BUSY_SECONDS = 10


def answer_events(place: Place | None) -> Response:
    """The events after a place. None, where none can come any more, is what tells a browser to stop asking."""
    if place is None:
        return Response(status=204, mimetype=TYPE)
    hub = services().hub
    if hub.is_full:
        message = "More streams are open than this process serves"
        return answer("rate_limit_exceeded", "TOO_MANY_STREAMS", message, retry_after=BUSY_SECONDS)
    return EventStream(hub, place)


class EventStream(Response):
    """Where the web server lets its socket go, the hub gets it; elsewhere a thread passes on what the hub writes."""

    def __init__(self, hub: Hub, place: Place) -> None:
        super().__init__(_relay(hub, place), headers={"X-Accel-Buffering": "no"}, mimetype=TYPE)
        self._hub, self._place = hub, place

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Raises HandedOver."""
        client = take_socket(environ) if environ["REQUEST_METHOD"] == "GET" else None
        if client is None:
            return super().__call__(environ, start_response)
        self._hub.follow(client, self._place, self._head(environ))
        raise HandedOver

    def _head(self, environ: WSGIEnvironment) -> bytes:
        lines = [f"{name}: {value}" for name, value in self.get_wsgi_headers(environ).to_wsgi_list()]
        lines = [f"HTTP/1.1 {self.status}", f"Date: {http_date()}", "Connection: close", *lines]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _relay(hub: Hub, place: Place) -> Iterator[bytes]:
    ours, theirs = socket.socketpair()
    hub.follow(theirs, place)
    with ours:
        while text := ours.recv(65_536):
            yield text
