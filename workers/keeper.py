"""What every worker's parent process does beside its work: it keeps the promises while Redis or beat is down."""

from __future__ import annotations

from typing import Any

from celery import Celery, bootsteps

from beat_schedule import BEAT_SCHEDULE
from config.settings import settings
from syncapp.db import Database
from syncapp.engine.runtime import utc_now
from syncapp.processes import forget_process, report_process
from syncapp.schedules import align_schedules
from syncapp.sweep import drop_dead_leases, end_frozen_writes, reap, sweep
from workers.chores import Chore, Chores
from workers.dispatch import CeleryDispatcher
from workers.process import INSTANCE, owner_is_alive
from workers.schedule import Mirror
from workers.stopping import STOP

SECONDS_TO_SAY_GOODBYE = 2.0


class Keeper:
    """Dispatches and reaps runs, mirrors the schedules, and says that this worker is alive."""

    def __init__(self, app: Celery, name: str, queues: list[str]) -> None:
        self.settings = settings()
        lease = self.settings.lease_seconds
        self.database = Database(
            self.settings.database, pool_size=1, application_name="syncapp-keeper", longest_pause=lease
        )
        self.dispatcher = CeleryDispatcher(self.settings)
        self.mirror = Mirror(app)
        self.name, self.queues = name, queues
        self._reported = False

    def chores(self) -> Chores:
        work = [
            Chore("report", 2.0, self.report),
            Chore("reap", 1.0, self.reap),
            Chore("sweep", 1.0, self.sweep),
            Chore("mirror", 3.0, self.reflect),
        ]
        return Chores("keeper", work, farewell=self.leave)

    def report(self) -> None:
        report_process(self.database, self.name, "worker", self.queues, first=not self._reported)
        self._reported = True

    def reap(self) -> None:
        drop_dead_leases(self.database, INSTANCE, owner_is_alive)
        end_frozen_writes(self.database, self.settings.lease_seconds)
        reap(self.database, self.settings)

    def sweep(self) -> None:
        sweep(self.database, self.settings, self.dispatcher)

    def reflect(self) -> None:
        rows = align_schedules(self.database, self.settings, utc_now, BEAT_SCHEDULE)
        if self.dispatcher.queue_lengths(("default",)) is not None:
            self.mirror.reflect(rows, utc_now())

    def leave(self) -> None:
        forget_process(self.database, self.name)


class KeeperStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the keeper with the worker, and tells the runs in hand when the worker is to end."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._chores: Chores | None = None

    def start(self, worker: Any) -> None:
        STOP.set_on_signals()
        self._chores = Keeper(worker.app, worker.hostname, list(worker.app.amqp.queues.consume_from)).chores()
        self._chores.start()

    def close(self, worker: Any) -> None:
        """However the shutdown began, by a signal or over remote control."""
        del worker
        STOP.set()
        if self._chores is not None:
            self._chores.end()

    def stop(self, worker: Any) -> None:
        del worker
        if self._chores is not None:
            self._chores.join(SECONDS_TO_SAY_GOODBYE)

    terminate = stop
