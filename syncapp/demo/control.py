"""The routes by which a test steers a demo upstream that runs as a process of its own. Loopback callers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from syncapp.demo.exchange import Answer, Request
from syncapp.demo.faults import Fault, Records

if TYPE_CHECKING:
    from syncapp.demo.server import DemoServer

FORBIDDEN = Answer.json({"error": "only from this machine"}, 403)


def control(server: DemoServer, request: Request) -> Answer | None:
    """Answers `/_faults`, `/_records/<resource>` and `/_requests`; None for every other path.

    GET /_faults                 the faults switched on
    POST /_faults                a `Fault` as an object, or a list of them, switched on
    DELETE /_faults              all switched off
    GET /_records/<resource>     the records as they stand
    POST /_records/<resource>    a list replaces them; {"upsert": [...], "delete": [keys]} changes some, by `server.key`
    GET, DELETE /_requests       the log of the requests, emptied
    """
    section, _, rest = request.path.lstrip("/").partition("/")
    if section not in {"_faults", "_records", "_requests"}:
        return None
    if not (request.client.startswith("127.") or request.client == "::1"):
        return FORBIDDEN
    try:
        if section == "_faults":
            return _faults(server, request)
        if section == "_records":
            return _records(server, request, rest)
    except (ValueError, TypeError, KeyError) as error:
        return Answer.json({"error": str(error)}, 422)
    return _requests(server, request)


def _faults(server: DemoServer, request: Request) -> Answer:
    if request.method == "POST":
        wanted = orjson.loads(request.body)
        for fault in [Fault(**entry) for entry in (wanted if isinstance(wanted, list) else [wanted])]:
            server.faults.add(fault)
    elif request.method == "DELETE":
        server.faults.clear()
    return Answer.json(server.faults.as_json())


def _records(server: DemoServer, request: Request, resource: str) -> Answer:
    with server.lock:
        if request.method == "POST":
            change_records(server.records, resource, orjson.loads(request.body), server.key)
        if resource not in server.records:
            return Answer.json({"error": "not found"}, 404)
        return Answer.json(server.records[resource])


def change_records(records: Records, resource: str, change: Any, key: str = "id") -> None:
    """Replaces a resource's records by a list, or changes some of them by their `key`. Raises KeyError, TypeError."""
    if isinstance(change, list):
        records[resource] = change
        return
    rows = records[resource]
    places = {row[key]: place for place, row in enumerate(rows) if isinstance(row, dict) and key in row}
    for row in change.get("upsert", ()):
        if row[key] in places:
            rows[places[row[key]]] = row
        else:
            places[row[key]] = len(rows)
            rows.append(row)
    gone = set(change.get("delete", ()))
    if gone:
        rows[:] = [row for row in rows if not (isinstance(row, dict) and row.get(key) in gone)]


def _requests(server: DemoServer, request: Request) -> Answer:
    if request.method == "DELETE":
        server.requests.clear()
    hidden = {"authorization", "x-api-key"}
    return Answer.json(
        [
            {
                "at": entry.at,
                "method": entry.method,
                "path": entry.path,
                "params": dict(entry.params),
                "headers": {name: value for name, value in entry.headers.items() if name not in hidden},
            }
            for entry in list(server.requests)
        ]
    )
