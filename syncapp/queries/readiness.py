"""Whether the system can do its work: the servers it needs, its workers, its scheduler, its migrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import redis
from alembic.migration import MigrationContext
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.db import Database
from syncapp.errors import DatabaseUnavailable
from syncapp.migrations.command import head
from syncapp.models import Process
from syncapp.queries.history import History, read_history
from syncapp.queries.syncs import is_configured, read_credentials
from syncapp.registry import SYNCS
from syncapp.scope import EVERYONE, Scope

SEEN_WITHIN = timedelta(seconds=15)
OK, FAILED = "ok", "failed"
UPSTREAM_ERRORS = ("api_connection_failed", "rate_limit_exceeded", "invalid_data_format", "circuit_open")


@dataclass(frozen=True, slots=True)
class Readiness:
    """`checks` are `ok` or `failed`, by what was looked at; `queues` by queue: does a live worker drain it."""

    ready: bool
    checks: dict[str, str]
    queues: dict[str, str]


@dataclass(frozen=True, slots=True)
class Health:
    """States alone, for everybody: healthy, degraded, unhealthy, unknown, not_configured."""

    status: str
    dependencies: dict[str, str]


@lru_cache(maxsize=1)
def _head() -> str:
    return head()


def readiness(db: Database, settings: Settings, queues: Sequence[str]) -> Readiness:
    """Ready: PostgreSQL and Redis answer, each queue has a live worker, a scheduler ticks, migrations are current."""
    served: set[str] = set()
    scheduler = migrated = False
    try:
        with db.session(EVERYONE) as session:
            migrated = MigrationContext.configure(session.connection()).get_current_revision() == _head()
            if migrated:
                served, scheduler = _alive(session)
        reached = True
    except DatabaseUnavailable:
        reached = False
    looked_at = {
        "database": reached,
        "redis": ping_redis(settings),
        "migrations": migrated,
        "scheduler": scheduler,
        "workers": served >= set(queues),
    }
    return Readiness(
        ready=all(looked_at.values()),
        checks={name: OK if good else FAILED for name, good in looked_at.items()},
        queues={queue: OK if queue in served else FAILED for queue in queues},
    )


def health(db: Database, settings: Settings, queues: Sequence[str], now: datetime) -> Health:
    """The dependencies' states, and the worst of them; an upstream's only from runs that were made anyway."""
    ready = readiness(db, settings, queues)
    served = list(ready.queues.values())
    dependencies = {
        "database": "healthy" if _can_ask(ready) else "unhealthy",
        "redis": "healthy" if ready.checks["redis"] == OK else "unhealthy",
        "external_api": _external_api(db, settings, now) if _can_ask(ready) else "unknown",
        "queues": "healthy" if FAILED not in served else "degraded" if OK in served else "unhealthy",
    }
    return Health(_overall(dependencies), dependencies)


def _can_ask(ready: Readiness) -> bool:
    """Whether the database can be asked about runs."""
    return ready.checks["database"] == ready.checks["migrations"] == OK


def ping_redis(settings: Settings, seconds: float = 1.0) -> bool:
    """Whether Redis answers within `seconds`."""
    if settings.redis_url is None:
        return False
    client = redis.Redis.from_url(
        settings.broker, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _alive(session: Session) -> tuple[set[str], bool]:
    """The queues that live workers drain, and whether a scheduler ticks. They report by PostgreSQL's clock."""
    seen = session.scalars(select(Process).where(Process.seen_at > func.now() - SEEN_WITHIN)).all()
    queues = {queue for process in seen if process.kind == "worker" for queue in process.queues}
    return queues, any(process.kind == "scheduler" for process in seen)


def is_ticking(session: Session) -> bool:
    """Whether a scheduler has ticked lately."""
    return _alive(session)[1]


def _external_api(db: Database, settings: Settings, now: datetime) -> str:
    """What the last ended runs of the default organization say about their upstreams."""
    try:
        with db.session(Scope(settings.default_organization_id)) as session:
            stored = read_credentials(session)
            names = [sync.name for sync in SYNCS if is_configured(sync, settings, stored)]
            if not names:
                return "not_configured"
            histories = [found for found in read_history(session, names, now).values() if found.ended]
    except DatabaseUnavailable:
        return "unknown"
    if not histories:
        return "unknown"
    failing = [_upstream_failed(found) for found in histories]
    return "unhealthy" if all(failing) else "degraded" if any(failing) else "healthy"


def _upstream_failed(history: History) -> bool:
    return history.last_error_type in UPSTREAM_ERRORS or (history.last_error_type is None and history.source == "mock")


def _overall(dependencies: dict[str, str]) -> str:
    """Without PostgreSQL nothing works; without anything else, work waits."""
    if dependencies["database"] == "unhealthy":
        return "unhealthy"
    fine = ("healthy", "unknown", "not_configured")
    return "healthy" if all(state in fine for state in dependencies.values()) else "degraded"
