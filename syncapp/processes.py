"""Who is alive: workers and schedulers write down that they are, into `processes`."""

from __future__ import annotations

from collections.abc import Collection

from syncapp.db import Database

REPORT = """
INSERT INTO processes (name, kind, queues, started_at, seen_at) VALUES (%(name)s, %(kind)s, %(queues)s, now(), now())
ON CONFLICT (name) DO UPDATE SET seen_at = now(), kind = excluded.kind, queues = excluded.queues,
    started_at = CASE WHEN %(first)s THEN now() ELSE processes.started_at END"""

PRUNE = "DELETE FROM processes WHERE seen_at < now() - interval '1 day'"
FORGET = "DELETE FROM processes WHERE name = %(name)s"


def report_process(db: Database, name: str, kind: str, queues: Collection[str], *, first: bool) -> None:
    """Says that the worker or scheduler `name` is alive; `first` when it has just started. Raises DatabaseUnavailable.

    Those that have been silent for a day are forgotten on the way.
    """
    values = {"name": name, "kind": kind, "queues": list(queues), "first": first}
    with db.connection() as connection:
        connection.execute(REPORT, values)
        connection.execute(PRUNE)


def forget_process(db: Database, name: str) -> None:
    """Says that `name` has ended. Raises DatabaseUnavailable."""
    with db.connection() as connection:
        connection.execute(FORGET, {"name": name})
