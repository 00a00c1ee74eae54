"""What a sync is: a value, not a class hierarchy. Read `syncs/wellness.py` for an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from config.settings import Settings
from syncapp.errors import CredentialsMissing
from syncapp.merge.table import Table
from syncapp.ports import Clock, Destination, RateLimit, Source
from syncapp.records import Row

Normalize = Callable[[Any], Row]


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a stream's source is built from."""

    settings: Settings
    organization_id: str
    mode: str
    clock: Clock
    rate_limit: RateLimit


@dataclass(frozen=True, slots=True)
class Every:
    """When a sync runs by itself: a cron line (UTC unless said otherwise) or an interval."""

    cron: str | None = None
    interval: timedelta | None = None

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.interval is None):
            raise ValueError("a schedule has either a cron line or an interval")


@dataclass(frozen=True, slots=True)
class Policy:
    """How careful a sync is.

    A complete read deletes nothing when more than `guard_share` and more than `guard_rows` live rows would go, or more
    than half and more than `guard_rows_small`. `mock_fallback` lets a run go on with marked mock records when the
    source cannot be reached and MOCK_FALLBACK is on.
    """

    guard_share: float = 0.20
    guard_rows: int = 100
    guard_rows_small: int = 10
    mock_fallback: bool = False
    record_changes: bool = False


@dataclass(frozen=True)
class Stream:
    """One source to one destination.

    source       builds the source for one run
    normalize    builds, for one run, the function that makes a record a `Row`; that function raises `InvalidRecord`
    table        the PostgreSQL table it lands in; the shortest form of `destination`
    destination  builds any other destination
    mock         builds a source of generated records, for `Policy.mock_fallback`
    title        how progress names it
    """

    name: str
    source: Callable[[SourceContext], Source]
    normalize: Callable[[SourceContext], Normalize]
    table: Table | None = None
    destination: Callable[[SourceContext], Destination] | None = None
    mock: Callable[[SourceContext], Source] | None = None
    incremental: bool = True
    title: str = ""

    def __post_init__(self) -> None:
        if (self.table is None) == (self.destination is None):
            raise ValueError(f"stream {self.name} needs a table or a destination")


@dataclass(frozen=True)
class Sync:
    """A named flow. `modes` name the streams a run takes, the first mode being the default.

    `missing` lists the environment variables without which the sync is not configured. `per_organization` says that
    each organization has a source of its own; else there is one, the default organization's, and no other's members
    may have it read.
    """

    name: str
    title: str
    source: str
    destination: str
    streams: tuple[Stream, ...]
    every: Every
    missing: Callable[[Settings], Iterable[str]]
    modes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policy: Policy = Policy()
    queue: str = "sync"
    per_organization: bool = False

    @property
    def default_mode(self) -> str:
        return next(iter(self.modes), "default")

    def streams_of(self, mode: str) -> tuple[Stream, ...]:
        """The streams a run of this mode takes, in order. Raises KeyError for a mode that is not there."""
        if not self.modes:
            return self.streams
        wanted = self.modes[mode]
        return tuple(stream for stream in self.streams if stream.name in wanted)

    def check_configured(self, settings: Settings) -> None:
        """Raises CredentialsMissing that names what is missing."""
        missing = list(self.missing(settings))
        if missing:
            raise CredentialsMissing(f"The sync {self.name} is not configured: set {', '.join(missing)}")
