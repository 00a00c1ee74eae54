"""Organizations with sources of their own, between which workers are shared."""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from syncapp.definition import SourceContext, Sync
from syncapp.engine import Runtime
from syncapp.engine.lease import Lease, take_lease
from syncapp.records import RunStatus
from syncapp.sweep import sweep
from syncapp.testing import ListSource
from tests.integration.engine import World

LONG_AGO = {"waiting_since": "now() - interval '1 minute'"}


class Queue:
    """A broker in memory."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[str] = queue.SimpleQueue()

    def dispatch(self, sync_id: str, name: str) -> bool:
        self.messages.put(sync_id)
        return True

    def queue_lengths(self, queues: Collection[str]) -> dict[str, int]:
        """There is always something else in them."""
        return dict.fromkeys(queues, 1_000)

    def read(self) -> list[str]:
        return [self.messages.get() for _ in range(self.messages.qsize())]


@dataclass
class Town:
    """Organizations with sources of their own, between which workers are shared."""

    world: World
    broker: Queue = field(default_factory=Queue)
    sources: dict[str, ListSource] = field(default_factory=dict)

    def run(self, sync_id: str, organization: str, **columns: str) -> str:
        """A run that waits, whose columns are given as SQL. A dry run, of which there may be many."""
        self.world.query(
            "INSERT INTO organizations (id, name) VALUES (%s, 'Town') ON CONFLICT DO NOTHING RETURNING 1", organization
        )
        row = {"sync_id": f"'{sync_id}'", "organization_id": f"'{organization}'", "sync": "'clients'"}
        row |= {"mode": "'default'", "trigger": "'manual'", "dry_run": "true"} | columns
        self.world.query(
            f"INSERT INTO sync_runs ({', '.join(row)}) VALUES ({', '.join(row.values())}) RETURNING sync_id"
        )
        return sync_id

    def sweep(self) -> list[str]:
        """The runs that are sent, in this order."""
        sweep(self.world.database, self.world.settings, self.broker)
        return self.broker.read()

    def take(self, sync_id: str) -> Lease | None:
        return take_lease(sync_id, self.world.runtime)

    def end(self, lease: Lease | None) -> None:
        assert lease is not None
        lease.in_transaction(lambda connection: lease.end(connection, RunStatus.COMPLETED))

    def find_sync(self, name: str) -> Sync:
        sync = self.world.sync

        def source(context: SourceContext) -> ListSource:
            return self.sources[context.organization_id]

        return replace(sync, streams=(replace(sync.streams[0], source=source),))

    def runtime(self, gives_way: Callable[[], bool]) -> Runtime:
        return replace(self.world.runtime, find_sync=self.find_sync, gives_way=gives_way)

    def never_taken(self, like: str) -> int:
        query = "SELECT sync_id FROM sync_runs WHERE sync_id LIKE %s AND lease_token = 0"
        return len(self.world.query(query, like))
