"""A run from the moment a worker takes it to the moment it gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg
import structlog

from syncapp.credentials import note_refused
from syncapp.definition import Stream
from syncapp.engine.ending import cancellation
from syncapp.engine.lease import Lease, LeaseLost, take_lease
from syncapp.engine.outcome import Cancelled, Released, Yielded
from syncapp.engine.runtime import Runtime
from syncapp.engine.state import keep_state, read_sizes
from syncapp.engine.steps import Progress, Step
from syncapp.engine.stream import StreamRun
from syncapp.engine.work import Work
from syncapp.errors import (
    ConnectionFailed,
    CredentialsRefused,
    DatabaseUnavailable,
    RateLimited,
    SyncError,
    TransientError,
)
from syncapp.guards.backoff import backoff_seconds
from syncapp.guards.breaker import note_reached, note_unreachable
from syncapp.records import RunStatus

log = structlog.get_logger(__name__)
DEFAULT_PARK_SECONDS = 60.0


def execute(sync_id: str, runtime: Runtime) -> str:
    """Works on the run as far as it goes: completed, failed, cancelled, parked, retrying, released, yielded or skipped.

    Skipped is the answer to a message that came twice, too late or too early, or while it is the turn of others.
    Raises DatabaseUnavailable.
    """
    lease = take_lease(sync_id, runtime)
    if lease is None:
        log.info("run.skipped", sync_id=sync_id, reason="not due, not its turn, in other hands, or ended")
        return "skipped"
    run = lease.run
    with structlog.contextvars.bound_contextvars(
        sync_id=sync_id, sync=run["sync"], organization_id=run["organization_id"], request_id=run["request_id"]
    ):
        log.info("run.started", attempt=run["attempt"], mode=run["mode"], trigger=run["trigger"])
        try:
            with lease.heartbeat():
                outcome = _attempt(lease, runtime)
        except LeaseLost:
            outcome = "skipped"
        log.info("run.left", outcome=outcome)
    return outcome


def _attempt(lease: Lease, runtime: Runtime) -> str:
    """One attempt; its outcome is committed when this returns. Raises LeaseLost, DatabaseUnavailable."""
    try:
        work = _run_streams(lease, runtime)
    except Cancelled:
        return _cancel(lease)
    except Released:
        lease.wait("released", 0, None, attempt_spent=False)
        return "released"
    except Yielded:
        lease.wait("yielded", 0, None, attempt_spent=False)
        return "yielded"
    except RateLimited as error:
        lease.wait("parked", error.retry_after or DEFAULT_PARK_SECONDS, error, attempt_spent=False)
        return "parked"
    except (LeaseLost, DatabaseUnavailable):
        raise
    except TransientError as error:
        return _retry_later(lease, runtime, error)
    except SyncError as error:
        return _fail(lease, runtime, error)
    except Exception as error:
        log.exception("run.internal_error")
        name = type(error).__name__
        return _fail(lease, runtime, SyncError(f"An unexpected error ({name}); the log has the details"))
    return _complete(lease, work)


def _run_streams(lease: Lease, runtime: Runtime) -> Work:
    sync = runtime.find_sync(lease.run["sync"])
    if not lease.run["undo_of"]:
        sync.check_configured(runtime.settings)
    streams = sync.streams_of(lease.run["mode"])
    if lease.run["undo_of"]:
        streams = streams[::-1]
    steps = _steps(lease, streams)
    work = Work(runtime, lease, sync, steps, source=lease.run["source"])
    for stream, step in zip(streams, steps, strict=True):
        work.check()
        work.finished.append((stream.name, _run_stream(work, stream, step)))
    return work


def _steps(lease: Lease, streams: Sequence[Stream]) -> list[Step]:
    """As they were left; at the run's begin each with its weight among the others."""
    saved = {step["name"]: Step.from_json(step) for step in lease.run["steps"]}
    begins = not saved and len(streams) > 1
    sizes = lease.in_transaction(partial(read_sizes, lease=lease)) if begins else {}
    return [
        saved.get(one.name) or Step(one.name, one.title or one.name, sizes.get(one.name, one.weight)) for one in streams
    ]


def _run_stream(work: Work, stream: Stream, step: Step) -> Progress:
    checkpoint = work.lease.run["checkpoint"].get(stream.name)
    if checkpoint and checkpoint["done"]:
        step.status = "completed"
        return Progress.from_json(checkpoint)
    if work.source == "mock" and checkpoint:
        return StreamRun(work, stream, step, mock=True).run()
    try:
        return StreamRun(work, stream, step).run()
    except ConnectionFailed as error:
        step = work.find_step(stream.name)
        if not _may_mock(work, stream, step):
            raise
        log.warning("run.mock_fallback", stream=stream.name, reason=error.message)
        work.source = "mock"
        step.note = f"generated records, since the source cannot be reached: {error.message}"
        return StreamRun(work, stream, step, mock=True).run()


def _may_mock(work: Work, stream: Stream, step: Step) -> bool:
    """Only in place of a read that brought nothing: real and generated records never stand in one run's stream."""
    run = work.lease.run
    allowed = work.sync.policy.mock_fallback and work.runtime.settings.mock_fallback and stream.mock is not None
    began = step.pages or run["checkpoint"].get(stream.name)
    return allowed and not (began or run["dry_run"] or work.repairs)


def _retry_later(lease: Lease, runtime: Runtime, error: TransientError) -> str:
    settings = runtime.settings
    attempt = lease.run["attempt"]
    if attempt > settings.worker_max_retries:
        return _fail(lease, runtime, error)
    wait = max(backoff_seconds(attempt, settings.worker_retry_interval), error.retry_after or 0)
    log.warning("run.retrying", attempt=attempt, seconds=round(wait, 1), reason=error.message)
    lease.wait("retrying", wait, error, attempt_spent=True)
    return "retrying"


def _complete(lease: Lease, work: Work) -> str:
    run = lease.run

    def end(connection: psycopg.Connection[Any]) -> None:
        if not run["dry_run"]:
            keep_state(connection, lease, work.sync, [] if work.repairs else work.finished)
            if work.source == "live" and work.asks_source:
                note_reached(connection, run["sync"], run["organization_id"])
        lease.end(connection, RunStatus.COMPLETED)

    lease.in_transaction(end)
    return "completed"


def _fail(lease: Lease, runtime: Runtime, error: SyncError) -> str:
    run, limit = lease.run, runtime.settings.sync_max_consecutive_failures
    log.warning("run.failed", error_type=error.error_type, error_code=error.error_code, reason=error.message)

    def end(connection: psycopg.Connection[Any]) -> None:
        if isinstance(error, ConnectionFailed) and not run["dry_run"]:
            note_unreachable(connection, run["sync"], run["organization_id"], limit)
        if isinstance(error, CredentialsRefused) and error.error_code == CredentialsRefused.default_code:
            provider = runtime.find_sync(run["sync"]).provider
            if provider is not None:
                note_refused(connection, run["organization_id"], provider, lease.taken_at)
        lease.end(connection, RunStatus.FAILED, error)

    lease.in_transaction(end)
    return "failed"


def _cancel(lease: Lease) -> str:
    lease.in_transaction(lambda connection: lease.end(connection, RunStatus.CANCELLED, cancellation()))
    return "cancelled"
