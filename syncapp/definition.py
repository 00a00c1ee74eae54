"""What a sync is: a value, not a class hierarchy. Read `syncs/wellness.py` for an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from config.settings import Settings
from syncapp.db import Database
from syncapp.errors import CredentialsMissing
from syncapp.merge.table import Table
from syncapp.ports import Clock, Destination, RateLimit, Source
from syncapp.records import Row

Normalize = Callable[[Any], Row]


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a stream's source is built from. In a `full_refresh` nothing that was read before is relied on."""

    settings: Settings
    organization_id: str
    mode: str
    clock: Clock
    rate_limit: RateLimit
    database: Database
    full_refresh: bool = False


@dataclass(frozen=True, slots=True)
class Every:
    """When a sync runs by itself: a cron line (UTC unless said otherwise) or an interval."""

    cron: str | None = None
    interval: timedelta | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.interval is None):
            raise ValueError("a schedule has either a cron line or an interval")


@dataclass(frozen=True, slots=True)
class Setting:
    """A number of a sync's that can be changed while it runs; see `syncapp.sync_settings`. `first` is its first value,
    from the environment."""

    key: str
    description: str
    first: Callable[[Settings], int]
    least: int
    most: int


FirstSchedule = Every | Callable[[Settings], Every]
"""A schedule's first value; where the environment has a say in it, what it says."""


def first_schedule(every: FirstSchedule, settings: Settings) -> Every:
    return every(settings) if callable(every) else every


@dataclass(frozen=True, slots=True)
class Policy:
    """How careful a sync is.

    A complete read deletes nothing when more than `guard_share` and more than `guard_rows` live rows would go, or more
    than half and more than `guard_rows_small`. `mock_fallback` lets a run go on with marked mock records when the
    source cannot be reached and MOCK_FALLBACK is on. `record_changes` keeps what runs change, field by field, so that
    it can be seen and undone. A complete read is due every `full_refresh_interval`, where FULL_REFRESH_INTERVAL says
    nothing else.
    """

    guard_share: float = 0.20
    guard_rows: int = 100
    guard_rows_small: int = 10
    mock_fallback: bool = False
    record_changes: bool = False
    full_refresh_interval: timedelta = timedelta(days=1)


class Reads(StrEnum):
    """What a mode reads of each of its streams.

    changes     what changed since the cursor; everything where a complete read is due
    everything  a complete read
    selection   what the source selects for this mode: no cursor moves, and nothing is missing after it
    """

    CHANGES = "changes"
    EVERYTHING = "everything"
    SELECTION = "selection"


@dataclass(frozen=True, slots=True)
class Mode:
    """The streams that a run of this mode takes, in this order, and what it reads of them."""

    streams: tuple[str, ...]
    reads: Reads = Reads.CHANGES


@dataclass(frozen=True)
class Stream:
    """One source to one destination.

    source       builds the source for one run
    normalize    builds, for one run, the function that makes a record a `Row`; that function raises `InvalidRecord`
    table        the PostgreSQL table it lands in; the shortest form of `destination`
    destination  builds any other destination
    mock         builds a source of generated records, for `Policy.mock_fallback`
    find         builds a source of the records with these keys, for replays of those that could not be read
    page_is_batch  each page is a transaction of its own: where records are large
    steady       records stay on their pages while they are read, so that nothing has to be looked for twice
    title        how progress names it
    weight       how many records it has beside the sync's other streams, until a run has shown it
    """

    name: str
    source: Callable[[SourceContext], Source]
    normalize: Callable[[SourceContext], Normalize]
    table: Table | None = None
    destination: Callable[[SourceContext], Destination] | None = None
    mock: Callable[[SourceContext], Source] | None = None
    find: Callable[[SourceContext, Sequence[str]], Source] | None = None
    incremental: bool = True
    page_is_batch: bool = False
    steady: bool = False
    title: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        if (self.table is None) == (self.destination is None):
            raise ValueError(f"stream {self.name} needs a table or a destination")


@dataclass(frozen=True)
class Sync:
    """A named flow. The first of `modes` is the default; without any, a run takes all streams.

    every      when it runs by itself at first; afterwards the table `schedules` has the word
    missing    lists the environment variables without which the sync is not configured
    provider   whose credentials each organization stores for a source of its own; None where there is one source, the
               default organization's, which no other's members may have read
    settings   what of it can be changed while it runs
    shortest, longest  seconds that its interval may be
    admins_only  no member may start it, and nobody for another organization than the default one; who may see its runs
                 is another matter
    due_mode   the mode that the schedule takes where a complete read is due; None takes the default all the same
    """

    name: str
    title: str
    source: str
    destination: str
    streams: tuple[Stream, ...]
    every: FirstSchedule
    missing: Callable[[Settings], Iterable[str]]
    modes: Mapping[str, Mode] = field(default_factory=dict)
    policy: Policy = Policy()
    queue: str = "sync"
    provider: str | None = None
    due_mode: str | None = None
    settings: tuple[Setting, ...] = ()
    shortest: float = 60.0
    longest: float = 31 * 86_400.0
    admins_only: bool = False

    @property
    def default_mode(self) -> str:
        return next(iter(self.modes), "default")

    @property
    def can_find(self) -> bool:
        """Whether a replay asks the source again, in place of reading what was kept of the failed records."""
        return any(stream.find is not None for stream in self.streams)

    @property
    def mode_names(self) -> list[str]:
        return list(self.modes) or [self.default_mode]

    def mode_of(self, name: str) -> Mode:
        """Raises KeyError for a mode that is not there."""
        return self.modes[name] if self.modes else Mode(tuple(stream.name for stream in self.streams))

    def streams_of(self, mode: str) -> tuple[Stream, ...]:
        """The streams a run of this mode takes, in order. Raises KeyError for a mode that is not there."""
        by_name = {stream.name: stream for stream in self.streams}
        return tuple(by_name[name] for name in self.mode_of(mode).streams)

    def full_refresh_seconds(self, settings: Settings) -> float:
        """How often at least everything is read."""
        return settings.full_refresh_interval or self.policy.full_refresh_interval.total_seconds()

    def check_configured(self, settings: Settings) -> None:
        """Raises CredentialsMissing that names what is missing."""
        missing = list(self.missing(settings))
        if missing:
            raise CredentialsMissing(f"The sync {self.name} is not configured: set {', '.join(missing)}")
