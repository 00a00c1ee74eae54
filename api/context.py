"""What a request works with: the process's services, and who asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from threading import Lock

from flask import current_app, g

from api.events.hub import Hub
from api.events.pieces import read_pieces
from api.limits import TriggerLimit
from config.settings import Settings
from syncapp.audit import Actor
from syncapp.commands import Caller, Triggered, leave_to_sweep
from syncapp.db import Database
from syncapp.errors import DatabaseUnavailable
from syncapp.guards.rate_limit import rate_limit_for
from syncapp.ports import Clock, RateLimit
from syncapp.queries import Health, health
from syncapp.sweep import Carrier

EXTENSION = "syncapp"
HEALTH_SECONDS = 5.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Services:
    """One per app. What connects is made by the first request that needs it, hence after the web server has forked."""

    settings: Settings
    queues: Sequence[str]
    limit: TriggerLimit
    make_database: Callable[[], Database]
    make_dispatcher: Callable[[], Carrier]
    clock: Clock = utc_now
    _database: Database | None = None
    _dispatcher: Carrier | None = None
    _hub: Hub | None = None
    _making: Lock = field(default_factory=Lock)
    _health: tuple[float, Health] | None = None
    _looking: Lock = field(default_factory=Lock)

    @property
    def database(self) -> Database:
        with self._making:
            if self._database is None:
                self._database = self.make_database()
            return self._database

    @cached_property
    def rate_limit(self) -> RateLimit:
        """The one that is shared with the workers."""
        return rate_limit_for(self.settings)

    @property
    def dispatcher(self) -> Carrier:
        with self._making:
            if self._dispatcher is None:
                self._dispatcher = self.make_dispatcher()
            return self._dispatcher

    @property
    def hub(self) -> Hub:
        read = partial(read_pieces, self.database)
        with self._making:
            if self._hub is None:
                self._hub = Hub(read)
            return self._hub

    def warm_up(self) -> None:
        """Opens what the first request would have to wait for. What is away now is opened when it is back."""
        self.health()
        self.limit.connect()
        _ = self.dispatcher

    def dispatch(self, runs: Iterable[Triggered]) -> None:
        """Sends what a command has just committed. What cannot be sent now, the next sweep sends."""
        for run in runs:
            if run.sync_started and not run.repeated and not self.dispatcher.dispatch(run.sync_id, run.queue):
                with suppress(DatabaseUnavailable):  # it is accepted all the same; a later sweep finds it
                    leave_to_sweep(self.database, run.sync_id)

    def health(self) -> Health:
        """At most HEALTH_SECONDS old; while one caller looks, the others wait for what it finds."""
        with self._looking:
            if self._health is None or time.monotonic() - self._health[0] > HEALTH_SECONDS:
                found = health(self.database, self.settings, self.queues, self.clock())
                self._health = (time.monotonic(), found)
            return self._health[1]


def services() -> Services:
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Services)  # noqa: S101
    return found


def caller() -> Caller:
    """Who asks. Only for routes that are not open."""
    found = g.caller
    assert isinstance(found, Caller)  # noqa: S101
    return found


def actor() -> Actor:
    """Who asks, as the audit trail names it."""
    return Actor(caller().actor, str(g.request_id))
