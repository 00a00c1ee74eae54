"""Who did what: an entry is written in the transaction of what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from sqlalchemy.orm import Session

from syncapp.db import raw_connection
from syncapp.records import Json

ADD = """
INSERT INTO audit_log (actor, organization_id, action, target, request_id, details)
VALUES (%(actor)s, %(organization_id)s, %(action)s, %(target)s, %(request_id)s, %(details)s::jsonb)"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: `token:tok_1f2e`, `user:auth0|42`, `environment`, `cli:ann`, `system`; and in which request."""

    name: str
    request_id: str | None = None


SYSTEM = Actor("system")


def add_entry(
    where: Session | psycopg.Connection[Any],
    actor: Actor,
    action: str,
    *,
    organization_id: str | None = None,
    target: str | None = None,
    details: Mapping[str, Json] | None = None,
) -> None:
    """`action` is `thing.done`, such as `run.started`; `target` names which. Never put a secret into `details`."""
    connection = raw_connection(where) if isinstance(where, Session) else where
    values = {
        "actor": actor.name,
        "organization_id": organization_id,
        "action": action,
        "target": target,
        "request_id": actor.request_id,
        "details": orjson.dumps(details or {}).decode(),
    }
    connection.execute(ADD, values)


def differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """What changed, for an entry's details: `{"before": {…}, "after": {…}}` with the values that differ; else empty."""
    names = [name for name in after if before[name] != after[name]]
    shown = {"before": {name: before[name] for name in names}, "after": {name: after[name] for name in names}}
    return shown if names else {}
