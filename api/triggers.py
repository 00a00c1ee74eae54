"""Starting runs over HTTP: idempotency, the command, the dispatch, the answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import structlog
from flask import request

from api.context import actor, services
from syncapp.commands import Idempotency, Refused, RunRequest, Triggered, trigger_run, trigger_runs
from syncapp.errors import ValidationFailed
from syncapp.scope import Scope

HEADER = "Idempotency-Key"
KEY = re.compile(r"^[^\x00-\x1f\x7f]{1,255}$")


def start(scope: Scope, wanted: RunRequest) -> Triggered:
    """Commits the run, hands it to the workers, and never waits for it. Raises as `trigger_run`."""
    parts, asked = services(), idempotency([wanted])
    run = trigger_run(parts.database, scope, parts.settings, parts.clock, _marked(wanted), asked)
    _send([run])
    return run


def start_each(scope: Scope, requests: Sequence[RunRequest]) -> tuple[list[Triggered], list[Refused]]:
    """As `start` for each of several. Raises as `trigger_runs`."""
    parts, asked = services(), idempotency(requests)
    marked = [_marked(wanted) for wanted in requests]
    runs, refused = trigger_runs(parts.database, scope, parts.settings, parts.clock, marked, asked)
    _send(runs)
    return runs, refused


def _marked(wanted: RunRequest) -> RunRequest:
    return replace(wanted, actor=actor())


def _send(runs: Sequence[Triggered]) -> None:
    structlog.contextvars.bind_contextvars(sync=[run.sync for run in runs], sync_id=[run.sync_id for run in runs])
    services().dispatch(runs)


def idempotency(asked: object = None) -> Idempotency | None:
    """What the header `Idempotency-Key` stands for: the same key may only come with the same request.

    Raises ValidationFailed.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if KEY.fullmatch(key) is None:
        rule = ["Must be 1 to 255 characters, none of them a control character."]
        raise ValidationFailed("That is no idempotency key", details={"fields": {HEADER: rule}})
    text = f"{request.method} {request.path} {asked!r}"
    return Idempotency(key, hashlib.sha256(text.encode()).hexdigest())
