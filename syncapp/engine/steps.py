"""What a run shows of its streams, and what it needs to go on with one after an interruption."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from syncapp.records import Counts, Json, Page


@dataclass(slots=True)
class Progress:
    """The checkpoint of one stream within one run.

    number    batches committed so far: a batch that was committed once is never counted twice
    pages     of the first look, over a run and its retries
    position  where the source goes on, None before the first page
    cursor    the highest cursor read so far
    ceiling   the source's own clock when the read began: the next one must not begin later, whatever the records say
    total     how many records the source named on the first page
    exhausted      the last page has come: nothing is left to read
    looking_again  the second look at what seemed to be missing
    looked    batches of the first look
    keyless   bad records whose key could not be read: nobody can tell what is missing then
    """

    number: int = 0
    pages: int = 0
    position: Json | None = None
    since: str | None = None
    complete: bool = False
    read_started: str | None = None
    cursor: str | None = None
    ceiling: str | None = None
    total: int | None = None
    distinct: int = 0
    keyless: int = 0
    exhausted: bool = False
    looking_again: bool = False
    looked: int = 0
    done: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """Another version of the code may have kept more."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})

    def note_page(self, page: Page) -> None:
        """The first page's total and time are what counts: what came later was not promised then."""
        if self.total is None:
            self.total = page.total
        if self.ceiling is None and page.source_time is not None:
            self.ceiling = page.source_time.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def shortfall(self) -> str | None:
        """Whether the source sent fewer records than it named: some may have moved between pages while it was read."""
        came = self.distinct + self.keyless
        if self.total is not None and came < self.total:
            return f"the source named {self.total} records and sent {came}"
        return None

    def doubt(self) -> str | None:
        """Why a complete read cannot be trusted to have seen everything; None where it can."""
        if self.keyless:
            return f"{self.keyless} records came without a readable id"
        return self.shortfall()


@dataclass(slots=True)
class Step:
    """What a run shows of one stream.

    weight  how much of the run it is, beside the other steps; stays as it is at the run's begin
    total   how many records the source named at first
    """

    name: str
    title: str
    weight: float = 1.0
    status: str = "pending"
    pages: int = 0
    total: int | None = None
    started_at: str | None = None
    completed_at: str | None = None
    note: str | None = None
    counts: Counts = field(default_factory=Counts)

    def to_json(self) -> dict[str, Json]:
        shown = asdict(self)
        counts = shown.pop("counts")
        return shown | {f"records_{name}": value for name, value in counts.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Step:
        names = ("processed", "created", "updated", "unchanged", "deleted", "failed")
        counts = Counts(**{name: data.get(f"records_{name}", 0) for name in names})
        plain = ("name", "title", "weight", "status", "pages", "total", "started_at", "completed_at", "note")
        return cls(**{name: data[name] for name in plain if name in data}, counts=counts)
