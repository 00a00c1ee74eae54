"""A run in hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncapp.definition import SourceContext, Sync
from syncapp.engine.lease import Lease, LeaseLost
from syncapp.engine.outcome import Cancelled, Released
from syncapp.engine.runtime import Runtime
from syncapp.engine.steps import Progress, Step


@dataclass(slots=True)
class Work:
    """A run in this process's hands, with all that its streams share."""

    runtime: Runtime
    lease: Lease
    sync: Sync
    steps: list[Step]
    source: str = "live"
    finished: list[tuple[str, Progress]] = field(default_factory=list)

    def check(self) -> None:
        """Between pages: raises what ends the run here."""
        if self.lease.lost.is_set():
            raise LeaseLost(self.lease.sync_id)
        if self.lease.cancelled.is_set():
            raise Cancelled
        if self.runtime.stop():
            raise Released

    @property
    def repairs(self) -> bool:
        """Whether the run tries an earlier one's failed records again, or puts its changes back: no read of the source
        as a whole."""
        return bool(self.lease.run["replay_of"] or self.lease.run["undo_of"])

    @property
    def asks_source(self) -> bool:
        run = self.lease.run
        return not run["undo_of"] and (not run["replay_of"] or self.sync.can_find)

    def find_step(self, name: str) -> Step:
        """As it is now: each batch puts another one in its place."""
        return next(step for step in self.steps if step.name == name)

    @property
    def context(self) -> SourceContext:
        run, runtime = self.lease.run, self.runtime
        return SourceContext(
            settings=runtime.settings,
            organization_id=run["organization_id"],
            mode=run["mode"],
            clock=runtime.clock,
            rate_limit=runtime.rate_limit,
            database=runtime.database,
            full_refresh=run["full_refresh"],
        )
