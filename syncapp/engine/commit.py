"""A batch, its counts and its checkpoint in one transaction, guarded by the fencing token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import orjson
import psycopg

from syncapp.engine.lease import Lease, LeaseLost
from syncapp.records import Change, Counts, Failure, Json

Connection = psycopg.Connection[Any]
T = TypeVar("T")

# One statement with its event and its keys, since every batch has them. `expected` is the number of batches before this
# one: a batch whose COMMIT was lost on the wire is not counted twice.
CHECKPOINT = """
WITH checkpoint AS (UPDATE sync_runs SET
    records_processed = records_processed + %(processed)s, records_created = records_created + %(created)s,
    records_updated = records_updated + %(updated)s, records_unchanged = records_unchanged + %(unchanged)s,
    records_deleted = records_deleted + %(deleted)s, records_failed = records_failed + %(failed)s,
    records_total = coalesce(%(total)s, records_total), current_operation = %(operation)s, source = %(source)s,
    steps = %(steps)s::jsonb, checkpoint = checkpoint || %(checkpoint)s::jsonb,
    lease_expires_at = greatest(lease_expires_at, clock_timestamp() + make_interval(secs => %(seconds)s)),
    event_seq = event_seq + 1
WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running'
  AND coalesce((checkpoint #>> ARRAY[%(stream)s, 'number'])::int, 0) = %(expected)s
RETURNING event_seq, cancel_requested_at IS NOT NULL AS cancelled),
progress AS (INSERT INTO run_events (sync_id, seq, kind, data)
    SELECT %(sync_id)s, event_seq, 'progress', %(progress)s::jsonb FROM checkpoint),
brought AS (INSERT INTO run_keys (sync_id, stream, number, keys)
    SELECT %(sync_id)s, %(stream)s, %(expected)s + 1, keys FROM checkpoint, (SELECT %(keys)s::text[] AS keys) given
    WHERE keys <> '{}')
SELECT cancelled FROM checkpoint"""

COMMITTED = """
SELECT coalesce((checkpoint #>> ARRAY[%(stream)s, 'number'])::int, 0) = %(expected)s + 1
FROM sync_runs WHERE sync_id = %(sync_id)s AND lease_token = %(token)s AND status = 'running'"""

DEAD_LETTER = """
INSERT INTO dead_letters (organization_id, sync_id, stream, external_id, error_type, message, record, replayable)
VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s)"""

CHANGE = """
INSERT INTO run_changes (sync_id, stream, external_id, operation, before, after)
VALUES (%s, %s, %s, %s, %s::jsonb, %s::jsonb)"""

MARK = """
INSERT INTO record_marks AS m (sync, organization_id, stream, external_id, mark)
SELECT %(sync)s, %(organization)s, %(stream)s, key, mark
FROM unnest(%(keys)s::text[], %(marks)s::text[]::jsonb[]) AS given(key, mark)
ON CONFLICT (sync, organization_id, stream, external_id) DO UPDATE SET mark = excluded.mark
WHERE m.mark IS DISTINCT FROM excluded.mark"""

UNMARK = """
DELETE FROM record_marks WHERE sync = %(sync)s AND organization_id = %(organization)s AND stream = %(stream)s
    AND external_id = ANY(%(keys)s)"""

MAX_RECORD = 262_144
CHANGES_AT_ONCE = 1_000


class AlreadyCommitted(Exception):
    """The transaction had been committed before its answer was lost."""


def write_checkpoint(connection: Connection, lease: Lease, stream: str, expected: int, values: dict[str, Any]) -> None:
    """The last statement of every batch's transaction. Raises LeaseLost, AlreadyCommitted."""
    parameters = lease.key | values | {"stream": stream, "expected": expected}
    row = connection.execute(CHECKPOINT, parameters).fetchone()
    if row is not None:
        if row[0]:
            lease.cancelled.set()
        return
    committed = connection.execute(COMMITTED, parameters).fetchone()
    if committed is not None and committed[0]:
        raise AlreadyCommitted
    raise LeaseLost(lease.sync_id)


def count_values(counts: Counts) -> dict[str, int]:
    names = ("processed", "created", "updated", "unchanged", "deleted", "failed")
    return {name: getattr(counts, name) for name in names}


def keep_failures(
    connection: Connection, lease: Lease, stream: str, failures: Sequence[Failure], *, replayable: bool | None
) -> None:
    """`replayable` is None where those are whose stored copy is what the source sent, and else the same for all."""
    organization = lease.run["organization_id"]
    kept = [(failure, *storable(failure.record)) for failure in failures]
    with connection.cursor() as cursor:
        cursor.executemany(
            DEAD_LETTER,
            [
                (
                    *(organization, lease.sync_id, stream, _plain(f.key), f.error_type, f.message, record),
                    intact if replayable is None else replayable and f.key is not None,
                )
                for f, record, intact in kept
            ],
        )


def keep_marks(
    connection: Connection, lease: Lease, stream: str, marks: Mapping[str, Json], failures: Sequence[Failure]
) -> None:
    """What the source wants to know of these records when it reads them again; of those that failed, nothing."""
    failed = {failure.key for failure in failures}
    kept = {key: orjson.dumps(mark).decode() for key, mark in sorted(marks.items()) if mark and key not in failed}
    of = {"sync": lease.run["sync"], "organization": lease.run["organization_id"], "stream": stream}
    if kept:
        connection.execute(MARK, of | {"keys": [*kept], "marks": [*kept.values()]})
    if len(kept) < len(marks):
        connection.execute(UNMARK, of | {"keys": sorted(marks.keys() - kept.keys())})


def keep_changes(connection: Connection, lease: Lease, stream: str, changes: Iterable[Change]) -> None:
    """In parts: what has vanished may be a whole table."""
    left = iter(changes)
    with connection.cursor() as cursor:
        while part := list(islice(left, CHANGES_AT_ONCE)):
            cursor.executemany(CHANGE, [(lease.sync_id, stream, *_change(change)) for change in part])


def storable(record: Json) -> tuple[str, bool]:
    """A record as JSON that PostgreSQL can hold, and whether that is still what the source sent.

    NUL and half surrogate pairs become U+FFFD, huge records are cut.
    """
    try:
        text = orjson.dumps(_clean(record)).decode()
    except (orjson.JSONEncodeError, RecursionError):  # nested too deeply, or a number of more than 64 bits
        return orjson.dumps({"truncated": True} | _beginning(record)).decode(), False
    if len(text) > MAX_RECORD:
        cut = {"truncated": True, "size": len(text), "begins": text[:1_000]}
        return orjson.dumps(cut).decode(), False
    return text, orjson.loads(text) == record


def _beginning(record: Json) -> dict[str, str]:
    try:
        return {"begins": _clean(repr(record)[:1_000])}
    except RecursionError:  # deeper than Python itself can show
        return {}


def _clean(value: Json) -> Json:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value


def _plain(key: str | None) -> str | None:
    return None if key is None else key.replace("\x00", "\ufffd")[:255]


def _change(change: Change) -> tuple[str, str, str | None, str | None]:
    before = None if change.before is None else orjson.dumps(change.before).decode()
    after = None if change.after is None else orjson.dumps(change.after).decode()
    return change.key, change.operation, before, after


def commit_once(lease: Lease, work: Callable[[Connection], T]) -> T:
    """Does `work`, which ends with `write_checkpoint`, in a transaction, as often as it takes until one is committed.

    Where the answer to a COMMIT was lost, a later try finds it out: what the one before had made is what counts.
    Raises LeaseLost, DatabaseUnavailable.
    """
    made: list[T] = []

    def make(connection: Connection) -> T:
        made.append(work(connection))
        return made[-1]

    try:
        return lease.in_transaction(make)
    except AlreadyCommitted:
        return made[-1]
