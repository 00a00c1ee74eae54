"""Starting runs over HTTP: idempotency, the command, the dispatch, the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import structlog
from flask import request

from api.context import request_id, services
from api.schemas.common import CONTROL
from syncapp.commands import Idempotency, RunRequest, Triggered, trigger_runs
from syncapp.errors import ValidationFailed
from syncapp.scope import Scope

HEADER = "Idempotency-Key"
LONGEST_KEY = 255


def start(scope: Scope, requests: Sequence[RunRequest]) -> list[Triggered]:
    """Commits the runs, hands them to the workers, and never waits for them. Raises as `trigger_runs`."""
    parts = services()
    asked = idempotency(requests)
    marked = [replace(wanted, request_id=request_id()) for wanted in requests]
    runs = trigger_runs(parts.database, scope, parts.settings, parts.clock, marked, asked)
    structlog.contextvars.bind_contextvars(sync=[run.sync for run in runs], sync_id=[run.sync_id for run in runs])
    parts.dispatch(runs)
    return runs


def idempotency(asked: object = None) -> Idempotency | None:
    """What the header `Idempotency-Key` stands for: the same key may only come with the same request.

    Raises ValidationFailed.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY or CONTROL.search(key):
        rule = [f"Must be 1 to {LONGEST_KEY} characters, none of them a control character."]
        raise ValidationFailed("That is no idempotency key", details={"fields": {HEADER: rule}})
    text = f"{request.method} {request.path} {asked!r}"
    return Idempotency(key, hashlib.sha256(text.encode()).hexdigest())
