"""The changes of an earlier run, put back where nobody has changed the same since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg

from syncapp.comparison import Difference, Mismatch, apply, canonical, inverse, top
from syncapp.errors import Conflict
from syncapp.merge.statements import Statements
from syncapp.ports import WriteContext
from syncapp.records import Applied, Change, Counts, Failure, Json

Connection = psycopg.Connection[Any]


@dataclass(slots=True)
class _Found:
    """A row as it is, and as it will be."""

    live: bool
    state: dict[str, Json]
    was_live: bool
    touched: set[str] = field(default_factory=set)


def put_back(sql: Statements, connection: Connection, context: WriteContext, changes: Sequence[Json]) -> Applied:
    """Undoes changes, the latest first, in the caller's transaction. Each is a row of `run_changes`.

    A created row leaves softly, a deleted one comes back (and counts as created), an updated one gets the fields' old
    values. A row of which one of these fields has another value than the run gave it is left alone: a failure says
    which. Rows lose their hash, so that the next read compares them with the source again.
    """
    parameters = {"organization": context.organization_id, "keys": sorted({one["external_id"] for one in changes})}
    rows = {
        key: _Found(live, canonical(state, sql.table.lists) or {}, live)
        for key, live, state in connection.execute(sql.lock_rows, parameters)
    }
    applied = Applied()
    done = [_undo(sql, rows, one, applied.failures) for one in changes]
    applied.changes = [one for one in done if one is not None]
    applied.counts = Counts(
        processed=len(changes),
        **{name: sum(one.operation == name for one in applied.changes) for name in ("created", "updated", "deleted")},
        failed=len(applied.failures),
        unchanged=done.count(None) - len(applied.failures),
    )
    _write(sql, connection, context, rows)
    return applied


def _undo(sql: Statements, rows: dict[str, _Found], change: Json, failures: list[Failure]) -> Change | None:
    """What was done to the row in memory; None where there was nothing to do, or a failure was added."""
    key, row = change["external_id"], rows.get(change["external_id"])
    if row is None:
        failures.append(Failure(key, Conflict.error_type, "its row is not there any more", None))
        return None
    if change["before"] is None or change["after"] is None:
        back = change["operation"] == "deleted"
        if row.live == back:
            return None
        row.live = back
        return Change(key, "created" if back else "deleted")
    before, after = change["before"], change["after"]
    if not before:
        return None
    try:
        done = [Difference(name, before[name], after[name]) for name in before]
        row.state = apply(row.state, inverse(done), sql.table.lists)
        row.touched |= {top(name) for name in before}
    except Mismatch as mismatch:
        if _is_as_before(sql, row, before):  # an undo of it was interrupted after that
            return None
        text = f"{mismatch.field} was changed again since: the run had set {_short(mismatch.expected)}, now it is "
        failures.append(Failure(key, Conflict.error_type, text + _short(mismatch.found), None))
        return None
    except (ValueError, KeyError):
        failures.append(Failure(key, Conflict.error_type, "what is kept of the change cannot be read", None))
        return None
    return Change(key, "updated", after, before)


def _is_as_before(sql: Statements, row: _Found, before: Json) -> bool:
    try:
        apply(row.state, [Difference(name, value, value) for name, value in before.items()], sql.table.lists)
    except (Mismatch, ValueError):
        return False
    return True


def _write(sql: Statements, connection: Connection, context: WriteContext, rows: dict[str, _Found]) -> None:
    organization = {"organization": context.organization_id}
    patches = {
        key: orjson.dumps({name: row.state.get(name) for name in sorted(row.touched)}).decode()
        for key, row in rows.items()
        if row.touched
    }
    if patches:
        connection.execute(sql.put_back, organization | {"keys": [*patches], "patches": [*patches.values()]})
    turned = {key: row.live for key, row in rows.items() if row.live != row.was_live}
    if turned:
        connection.execute(sql.turn, organization | {"keys": [*turned], "live": [*turned.values()]})


def _short(value: Json) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
