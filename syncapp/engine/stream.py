"""The one loop: read, compare, apply, checkpoint."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from syncapp.definition import Normalize, Stream
from syncapp.engine import commit
from syncapp.engine.collect import Collected, collect, end_wait
from syncapp.engine.deletion import check_deletion
from syncapp.engine.keys import batch_keys, count_keys, keep_unseen
from syncapp.engine.outcome import Yielded
from syncapp.engine.readahead import ReadAhead
from syncapp.engine.replay import REPLAYED, DeadLetterSource
from syncapp.engine.state import choose_read
from syncapp.engine.steps import Progress, Step
from syncapp.engine.undo import ChangeSource, as_change
from syncapp.engine.work import Work
from syncapp.merge.destination import TableDestination
from syncapp.merge.encode import array_text
from syncapp.ports import Destination, ReadRequest, Source, WriteContext
from syncapp.records import Applied, Batch
from syncapp.times import show_time


class StreamRun:
    """One stream of one run, from its checkpoint to its end."""

    def __init__(self, work: Work, stream: Stream, step: Step, *, mock: bool = False) -> None:
        self.work, self.stream, self.step, self.mock = work, stream, step, mock
        self.lease = work.lease
        saved = self.lease.run["checkpoint"].get(stream.name)
        self.progress = Progress.from_json(saved) if saved else Progress()
        self.title = stream.title or stream.name
        self.replay_of: str | None = self.lease.run["replay_of"]
        self.undo_of: str | None = self.lease.run["undo_of"]
        self.destination = self._destination()

    def run(self) -> Progress:
        """How far it came. Raises what reading and writing raise, Cancelled, Released, Yielded, LeaseLost."""
        if self.progress.number == 0:
            self._begin()
        self.step.status = "running"
        self.step.started_at = self.step.started_at or show_time(self.work.runtime.clock())
        self.lease.show(f"{self.title}: reading", orjson.dumps([one.to_json() for one in self.work.steps]).decode())
        if not self.progress.exhausted:
            self._read()
        self._count()
        if self._must_look_again():
            looked = self.progress.number
            self.progress = replace(self.progress, looking_again=True, looked=looked, exhausted=False, position=None)
            self._read()
            self._count()
        self._finish()
        return self.progress

    def _read(self) -> None:
        request = ReadRequest(self.progress.since, self.progress.position)
        pages = self._source().read(request)
        # Of a second look nearly nothing is written: what is can be prepared then.
        unprepared = self.progress.looking_again or self.undo_of
        prepare = no_preparation if unprepared else partial(self.destination.prepare, mock=self.mock)
        size = 1 if self.stream.page_is_batch else self.work.runtime.settings.batch_records
        batches = collect(pages, self._normalize(), size, prepare)
        with ReadAhead(batches, self.work.check, stop=lambda: end_wait(pages)) as ahead:
            for collected in ahead:
                collected.batch.before_wait = ahead.go_on
                self.work.check()
                self._write(collected)
                if self.lease.must_yield.is_set():
                    ahead.finish()  # what was read is written before others take the worker
        self.work.check()
        if not self.progress.exhausted:
            raise Yielded

    def _count(self) -> None:
        if not (self.mock or self.work.repairs):
            count = partial(count_keys, context=self._context(self.progress.number))
            self.progress.distinct = self.lease.in_transaction(count)

    def _must_look_again(self) -> bool:
        """Before anything is deleted, a read of several pages is done a second time: a record that moved from page to
        page while the first one went on is there the second time. Raises MassDeleteRefused."""
        progress = self.progress
        once = self.stream.steady or progress.pages == 1
        if not progress.complete or progress.looking_again or once or progress.doubt():
            return False
        check = partial(self._check_missing, context=self._context(progress.number))
        return self.lease.in_transaction(check) > 0

    def _begin(self) -> None:
        """Decides what is read: everything, or what changed since the cursor."""
        self.progress.read_started = self.lease.taken_at.isoformat()
        if not (self.work.repairs or self.mock):
            work = self.work
            choose = partial(
                choose_read, lease=self.lease, sync=work.sync, stream=self.stream, settings=work.runtime.settings
            )
            self.progress.since, self.progress.complete = self.lease.in_transaction(choose)

    def _normalize(self) -> Normalize:
        return as_change if self.undo_of else self.stream.normalize(self.work.context)

    def _source(self) -> Source:
        if self.undo_of:
            return ChangeSource(self.lease.database, self.undo_of, self.stream.name)
        if self.replay_of:
            find = self.stream.find and partial(self.stream.find, self.work.context)
            return DeadLetterSource(self.lease.database, self.replay_of, self.stream.name, find)
        if self.mock:
            assert self.stream.mock is not None  # noqa: S101  (the caller asked whether there is one)
            return self.stream.mock(self.work.context)
        return self.stream.source(self.work.context)

    def _destination(self) -> Destination:
        if self.stream.table is not None:
            return TableDestination(self.stream.table)
        assert self.stream.destination is not None  # noqa: S101  (`Stream` has one or the other)
        return self.stream.destination(self.work.context)

    def _context(self, number: int) -> WriteContext:
        run = self.lease.run
        started = self.progress.read_started
        return WriteContext(
            sync_id=self.lease.sync_id,
            organization_id=run["organization_id"],
            stream=self.stream.name,
            number=number,
            mock=self.mock,
            dry_run=run["dry_run"],
            read_started=datetime.fromisoformat(started) if started else None,
            keep_newer=self.replay_of is not None,
            record_changes=self.work.sync.policy.record_changes,
        )

    def _write(self, collected: Collected) -> None:
        """One batch. Nothing of it is remembered here before it is committed."""
        progress, page, batch = replace(self.progress, number=self.progress.number + 1), collected.page, collected.batch
        progress.position, progress.exhausted = page.position, collected.last
        context = self._context(progress.number)
        if progress.looking_again:
            # What was seen already is of no interest. What had slipped through is, with all that it says.
            near = progress.number - progress.looked
            batch = self.lease.in_transaction(partial(keep_unseen, context=context, batch=batch, near=near))
        else:
            progress.pages += collected.pages
            progress.cursor = None if self.mock else _latest(progress.cursor, collected.cursor)
            progress.note_page(page)
        progress.keyless += sum(failure.key is None for failure in batch.failures)
        step = replace(self.step, pages=self.step.pages + collected.pages)
        keys = [] if self.mock or self.work.repairs else batch_keys(batch)
        early: Applied | None = None
        if progress.looking_again and not batch:
            early = Applied()
        elif not self.destination.transactional:
            early = self._apply_outside(context, batch)

        def work(connection: commit.Connection) -> Step:
            applied = early or self._apply(connection, context, batch)
            if self.replay_of:
                last = {"stream": self.stream.name, "last": page.position or 0}
                connection.execute(REPLAYED, {"replay_of": self.replay_of} | last)
            if batch.marks and not context.dry_run:
                commit.keep_marks(connection, self.lease, self.stream.name, batch.marks, applied.failures)
            return self._checkpoint(connection, progress, step, applied, keys)

        self._done(commit.commit_once(self.lease, work), progress)

    def _apply(self, connection: commit.Connection | None, context: WriteContext, batch: Batch) -> Applied:
        if self.undo_of:
            return self.destination.undo(connection, context, [record for _, record in batch.rows.values()])
        return self.destination.apply(connection, context, batch)

    def _apply_outside(self, context: WriteContext, batch: Batch) -> Applied:
        """Writes to a destination that PostgreSQL's transaction does not reach: the lease is checked first."""
        self.lease.beat()
        return self._apply(None, context, batch)

    def _done(self, step: Step, progress: Progress) -> None:
        self.work.steps[self.work.steps.index(self.step)] = step
        self.step, self.progress = step, progress

    def _checkpoint(
        self, connection: commit.Connection, progress: Progress, step: Step, applied: Applied, keys: list[str]
    ) -> Step:
        """Keeps what a batch has come to, in its transaction; the step with its counts."""
        if applied.failures:
            again = False if self.undo_of else True if self.stream.find else None
            commit.keep_failures(connection, self.lease, self.stream.name, applied.failures, replayable=again)
        commit.keep_changes(connection, self.lease, self.stream.name, applied.changes)
        step = replace(step, counts=step.counts + applied.counts, total=progress.total)
        steps = [step if one.name == step.name else one for one in self.work.steps]
        event = {"stream": self.stream.name, "records_processed": step.counts.processed, "pages": step.pages}
        values: dict[str, Any] = commit.count_values(applied.counts) | {
            "total": sum(filter(None, (one.total for one in steps))) or None,
            "operation": self._operation(progress, step),
            "source": self.work.source,
            "steps": orjson.dumps([one.to_json() for one in steps]).decode(),
            "checkpoint": orjson.dumps({self.stream.name: asdict(progress)}).decode(),
            "progress": orjson.dumps(event).decode(),
            "keys": array_text(keys),
        }
        commit.write_checkpoint(connection, self.lease, self.stream.name, progress.number - 1, values)
        return step

    def _operation(self, progress: Progress, step: Step) -> str:
        if progress.looking_again:
            return f"{self.title}: looking again for what was missing"
        return f"{self.title}: {step.counts.processed} records"

    def _finish(self) -> None:
        """After the last page: what vanished leaves, mock rows leave, the stream is done."""
        progress = replace(self.progress, number=self.progress.number + 1, done=True)
        context = self._context(progress.number)
        doubt = progress.doubt() if progress.complete else None
        now = show_time(self.work.runtime.clock())
        step = replace(self.step, status="completed", completed_at=now, note=doubt and f"nothing deleted: {doubt}")
        believed = progress.complete and doubt is None
        early = None if self.destination.transactional else self._remove_outside(context, believed)

        def work(connection: commit.Connection) -> Step:
            missing = early is None and believed and self._check_missing(connection, context) > 0
            applied = early or self._remove(connection, context, missing)
            return self._checkpoint(connection, progress, step, applied, [])

        self._done(commit.commit_once(self.lease, work), progress)

    def _remove_outside(self, context: WriteContext, believed: bool) -> Applied:
        check = partial(self._check_missing, context=context)
        missing = believed and self.lease.in_transaction(check) > 0
        self.lease.beat()
        return self._remove(None, context, missing)

    def _remove(self, connection: commit.Connection | None, context: WriteContext, missing: bool) -> Applied:
        """What vanished, and what a mock read had left."""
        applied = self.destination.delete_missing(connection, context) if missing else Applied()
        if self.work.sync.policy.mock_fallback and not (self.mock or self.work.repairs or context.dry_run):
            self.destination.delete_mocks(connection, context)
        return applied

    def _check_missing(self, connection: commit.Connection, context: WriteContext) -> int:
        """How many rows are missing in the source. Raises MassDeleteRefused where that is not believed."""
        missing, live = self.destination.count_missing(connection, context)
        allowed = self.lease.run["allow_mass_delete"]
        policy, read = self.work.sync.policy, self.progress.distinct
        check_deletion(policy, missing=missing, live=live, read=read, allowed=allowed)
        return missing


def _latest(one: str | None, other: str | None) -> str | None:
    return max(filter(None, (one, other)), default=None)


def no_preparation(_: Batch) -> None:
    """The batch is left as it was read."""
