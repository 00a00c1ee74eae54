"""The fast path into PostgreSQL: ask for hashes, COPY what differs, upsert, count. Never a query per record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from syncapp.errors import InvalidRecord
from syncapp.merge.encode import Encoded, Hashed, array_text, encode_line, hash_row, hash_salt, have_right_types
from syncapp.merge.statements import Statements
from syncapp.merge.table import Table
from syncapp.merge.undo import put_back
from syncapp.merge.write import SAVEPOINT, Writer
from syncapp.ports import WriteContext
from syncapp.records import Applied, Batch, Change, Counts, Failure, Json

LISTED_AT_ONCE = 1_000
MAX_KEY = 255

Connection = psycopg.Connection[Any]


class Prepared(NamedTuple):
    """A batch sorted: hashes by key, keys marked as removed, what cannot be written. Unchanged records are in neither.

    `new` has the lines of all rows where it is likely that none of them is there.
    """

    live: dict[str, Hashed]
    removed: list[str]
    failures: list[Failure]
    new: list[Encoded]


class TableDestination:
    """Writes the batches of one run's stream into one table, in the caller's transaction."""

    transactional = True

    def __init__(self, table: Table) -> None:
        self.table = table
        self.sql = Statements(table)
        self._all_new = False  # of the last batch no row was there: the next one is likely to be as it
        self._guesses = True  # until one was wrong

    def prepare(self, batch: Batch, *, mock: bool) -> None:
        """Hashes the rows; sets apart those that cannot be written, and those that the source marks as removed."""
        live: dict[str, Hashed] = {}
        removed: list[str] = []
        failures = list(batch.failures)
        table, salt = self.table, hash_salt(self.table, mock=mock)
        for key, (row, record) in batch.rows.items():
            try:
                if not _is_key(key):
                    failures.append(Failure(None, InvalidRecord.error_type, "its id cannot be a key", record))
                elif row.deleted:
                    removed.append(key)
                elif not row.unchanged:
                    live[key] = hash_row(table, row, salt)
            except InvalidRecord as error:
                failures.append(Failure(key, error.error_type, error.message, record))
        new = self._encode(batch, live, {}, failures) if self._all_new and not removed else []
        batch.prepared = Prepared(live, removed, failures, new)

    def apply(self, connection: Connection | None, context: WriteContext, batch: Batch) -> Applied:
        """Raises psycopg errors for what is not a record's fault; records that PostgreSQL refuses become failures."""
        assert connection is not None  # noqa: S101  (the engine hands transactional destinations a connection)
        if batch.prepared is None:
            self.prepare(batch, mock=context.mock)
        prepared: Prepared = batch.prepared
        live, removed = dict(prepared.live), prepared.removed
        applied = Applied(failures=list(prepared.failures))
        writer = Writer(self.sql, connection, context, applied, batch.rows)
        known: dict[str, int | None] = {}
        written = writer.insert_blindly(prepared.new, batch.before_wait) if prepared.new and self._guesses else None
        if written is None:
            batch.before_wait()
            known = self._look_up(connection, context, [*live, *removed])
            changed = self._encode(batch, live, known, applied.failures)
            written = writer.write(changed, known)
            self._guesses = self._guesses and not (prepared.new and known)
            self._all_new = self._guesses and not known and not (context.dry_run or context.record_changes)
        absent = {key: (0, b"") for key in removed if key not in known and not context.keep_newer}
        if absent and not context.dry_run:
            # What was removed before we ever saw it becomes a deleted row: others may refer to it.
            writer.merge(self._encode(batch, absent, known, applied.failures))
        deleted = written.deleted + self._mark_deleted(connection, context, removed, applied)
        deleted += len(absent) if context.dry_run else 0
        self._mark_failed(connection, context, applied.failures)
        applied.counts = Counts(
            processed=len(batch),
            created=written.created,
            updated=written.updated,
            deleted=deleted,
            failed=len(applied.failures),
            unchanged=len(batch) - written.created - written.updated - deleted - len(applied.failures),
        )
        return applied

    def _look_up(self, connection: Connection, context: WriteContext, keys: Sequence[str]) -> dict[str, int | None]:
        """The hashes of the rows that are there."""
        parameters = {"organization": context.organization_id, "keys": array_text(keys)}
        with connection.pipeline():
            found = connection.execute(self.sql.hashes, parameters)
            connection.execute(SAVEPOINT)
        return dict(found.fetchall())

    def _encode(
        self, batch: Batch, live: dict[str, Hashed], known: Mapping[str, int | None], failures: list[Failure]
    ) -> list[Encoded]:
        """The rows that differ from what is known. Those that turn out bad leave `live`."""
        table, changed = self.table, []
        keys = [key for key, hashed in live.items() if known.get(key) != hashed[0]]
        if not keys:
            return []
        right = have_right_types(table, [batch.rows[key][0].values for key in keys])
        for key in keys:
            number, line = live[key]
            row, record = batch.rows[key]
            try:
                changed.append((key, encode_line(table, key, row.values, line if right else b""), number))
            except InvalidRecord as error:
                del live[key]
                failures.append(Failure(key, error.error_type, error.message, record))
        return changed

    def _mark_deleted(self, connection: Connection, context: WriteContext, keys: list[str], applied: Applied) -> int:
        if not keys or context.keep_newer:
            return 0
        parameters = {"organization": context.organization_id, "keys": keys}
        if context.dry_run or context.record_changes:
            live = connection.execute(self.sql.list_live(content=context.dry_run), parameters)
            changes = [Change(key, "deleted", before, None) for key, before in live]
            applied.changes = [*applied.changes, *changes]
            if context.dry_run:
                return len(changes)
        return connection.execute(self.sql.mark_deleted, parameters).rowcount

    def _mark_failed(self, connection: Connection, context: WriteContext, failures: Sequence[Failure]) -> None:
        known = {failure.key: failure.message for failure in failures if failure.key}
        if known and not (context.dry_run or context.keep_newer):
            parameters = {"organization": context.organization_id, "keys": [*known], "messages": [*known.values()]}
            connection.execute(self.sql.mark_failed, parameters)

    def count_missing(self, connection: Connection, context: WriteContext) -> tuple[int, int]:
        connection.execute(self.sql.without_nested_loops)
        missing = _count(connection.execute(self.sql.count_missing, self._read(context)))
        return missing, _count(connection.execute(self.sql.count_live, self._read(context))) if missing else 0

    def delete_missing(self, connection: Connection | None, context: WriteContext) -> Applied:
        assert connection is not None  # noqa: S101
        applied = Applied()
        connection.execute(self.sql.without_nested_loops)
        parameters = self._read(context)
        if context.dry_run or context.record_changes:
            # It is opened here, so that it shows the rows as they were, and read when they have left.
            listed = connection.cursor("missing")
            listed.itersize = LISTED_AT_ONCE
            applied.changes = _deletions(listed.execute(self.sql.list_missing(content=context.dry_run), parameters))
        if context.dry_run:
            applied.counts.deleted = self.count_missing(connection, context)[0]
        else:
            applied.counts.deleted = connection.execute(self.sql.delete_missing, parameters).rowcount
        return applied

    def delete_mocks(self, connection: Connection | None, context: WriteContext) -> int:
        assert connection is not None  # noqa: S101
        return connection.execute(self.sql.delete_mocks, {"organization": context.organization_id}).rowcount

    def undo(self, connection: Connection | None, context: WriteContext, changes: Sequence[Json]) -> Applied:
        """See `syncapp.merge.undo`."""
        assert connection is not None  # noqa: S101
        return put_back(self.sql, connection, context, changes)

    def _read(self, context: WriteContext) -> dict[str, Json]:
        return {
            "organization": context.organization_id,
            "sync_id": context.sync_id,
            "stream": context.stream,
            "read_started": context.read_started,
        }


def _deletions(listed: psycopg.ServerCursor[Any]) -> Iterator[Change]:
    with listed:
        for key, before in listed:
            yield Change(key, "deleted", before, None)


def _is_key(key: str) -> bool:
    return 0 < len(key) <= MAX_KEY and "\x00" not in key


def _count(found: psycopg.Cursor[Any]) -> int:
    return int((found.fetchone() or (0,))[0])
