"""What is asked for with a run, and what is answered."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from syncapp.audit import Actor
from syncapp.definition import Reads, Sync
from syncapp.errors import ValidationFailed
from syncapp.records import Trigger

NOTEWORTHY = ("full_refresh", "dry_run", "force", "allow_mass_delete", "since", "undo_of")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What somebody asks for. `since` reads from there instead of the cursor; `force` asks even where the schedule is
    disabled or the circuit open; `retry_of`, `replay_of` and `undo_of` name the run that it goes on with, whose failed
    records it tries again, or whose changes it puts back. `actor` is nobody where it is the clock that asks. `estimate`
    is how long it may take, in words, for the answer."""

    sync: str
    mode: str | None = None
    trigger: Trigger = Trigger.MANUAL
    full_refresh: bool = False
    dry_run: bool = False
    since: datetime | None = None
    force: bool = False
    allow_mass_delete: bool = False
    actor: Actor | None = None
    retry_of: str | None = None
    replay_of: str | None = None
    undo_of: str | None = None
    estimate: str | None = field(default=None, repr=False)  # no part of what makes two requests the same

    def asks_nobody(self, sync: Sync) -> bool:
        """An undo does not ask the source, nor do most replays: neither its circuit nor its credentials matter."""
        return self.undo_of is not None or (self.replay_of is not None and not sync.can_find)


@dataclass(frozen=True, slots=True)
class Triggered:
    """The answer to a request: the run that was started, or the one in flight.

    `repeated` is an earlier answer once more, for the same idempotency key: there is nothing to dispatch. `started_at`
    is when the one in flight was taken by a worker. `estimate` is the request's.
    """

    sync: str
    sync_id: str
    sync_started: bool
    organization_id: str
    queue: str
    message: str
    timestamp: str
    repeated: bool = False
    started_at: str | None = None
    estimate: str | None = None

    def answer(self, **more: Any) -> dict[str, Any]:
        """What every answer to a trigger holds, with `more` for one route's own."""
        held = ("message", "sync_started", "sync_id", "organization_id", "timestamp")
        return {name: getattr(self, name) for name in held} | more


def make_sync_id(organization_id: str, now: datetime) -> str:
    return f"sync_{organization_id}_{now:%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def mode_of(sync: Sync, request: RunRequest) -> str:
    mode = request.mode or sync.default_mode
    allowed = sync.mode_names
    if mode not in allowed:
        raise ValidationFailed(
            f"The sync {sync.name} has no mode {mode}",
            details={"fields": {"mode": [f"Must be one of: {', '.join(allowed)}."]}},
        )
    return mode


def check_read(sync: Sync, request: RunRequest, mode: str) -> None:
    if request.full_refresh and request.since is not None:
        rule = ["Must not be given with full_refresh, which reads everything."]
        raise ValidationFailed("A full refresh reads from no time on", details={"fields": {"since": rule}})
    if sync.mode_of(mode).reads is Reads.CHANGES:
        return
    wrong = [name for name in ("full_refresh", "since") if getattr(request, name)]
    if wrong and not (sync.mode_of(mode).reads is Reads.EVERYTHING and wrong == ["full_refresh"]):
        rule = [f"The mode {mode} says itself what is read."]
        raise ValidationFailed(f"Not with the mode {mode}", details={"fields": dict.fromkeys(wrong, rule)})


def show_request(request: RunRequest, mode: str) -> str:
    """What the audit trail tells of a request."""
    more = {name: getattr(request, name) for name in NOTEWORTHY}
    told = {name: value for name, value in more.items() if value}
    return orjson.dumps({"sync": request.sync, "mode": mode, "trigger": request.trigger.value} | told).decode()
