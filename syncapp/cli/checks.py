"""What `syncapp doctor` looks at, one after the other. A check that fails says how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import Settings, SettingsError, load_settings
from syncapp.cli.context import find_settings
from syncapp.cli.database import schema_state
from syncapp.cli.failures import failure_of
from syncapp.cli.output import plain
from syncapp.db import Database
from syncapp.definition import SourceContext, Sync
from syncapp.engine.runtime import utc_now
from syncapp.errors import ConnectionFailed, CredentialsMissing, RateLimited, SyncError
from syncapp.guards.rate_limit import rate_limit_for
from syncapp.queries import RunFilter, SyncView, list_credentials, list_runs, list_syncs, list_tokens, readiness
from syncapp.records import HealthLevel, RunStatus
from syncapp.registry import SYNCS, find_sync
from syncapp.scope import Scope

QUEUES = ("sync", "default", "mailers")
OK, WARNING, FAILED = "ok", "warning", "failed"
ILL = (HealthLevel.DEGRADED, HealthLevel.UNHEALTHY)
UNUSED = "postgresql+psycopg://"  # what is asked here reads from no database of ours, and none is connected before
ALL = "start everything with `make up` or `syncapp up`"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, its state, what was found, and what mends it; None where nothing has to be mended."""

    name: str
    state: str
    found: str
    mend: str | None = None


@runtime_checkable
class Pingable(Protocol):
    """A source that can be asked whether it answers."""

    def ping(self) -> float:
        """Milliseconds. Raises what a read would."""


def examine() -> Iterator[Check]:
    """Everything, as far as it can be looked at."""
    settings, environment = read_environment()
    yield environment
    if settings is None:
        return
    if environment.state == OK:
        yield from check_database(settings)
    yield check_redis(settings)
    yield from check_upstreams(settings)


def read_environment() -> tuple[Settings | None, Check]:
    """The settings, None where they cannot be read at all."""
    try:
        return find_settings(), Check("environment", OK, "every variable can be read")
    except SettingsError as error:
        found = str(error)
    try:
        return load_settings(), Check("environment", FAILED, found, "set DATABASE_URL, or start `make up`")
    except SettingsError:
        mend = "correct what is named; .env.example explains every variable"
        return None, Check("environment", FAILED, found, mend)


def check_database(settings: Settings) -> Iterator[Check]:
    """PostgreSQL, and what it knows of the rest."""
    database = Database(settings.database, pool_size=1, application_name="syncapp-doctor")
    try:
        postgres = check_postgres(database)
        yield postgres
        if postgres.state != OK:
            return
        migrations = check_migrations(database)
        yield migrations
        if migrations.state == OK:
            yield from check_processes(database, settings)
            yield check_tokens(database, settings)
            yield check_credentials(database)
            yield from check_health(database, settings)
    finally:
        database.dispose()


def check_postgres(database: Database) -> Check:
    return _look("PostgreSQL", lambda: _version(database), "start PostgreSQL, or correct DATABASE_URL")


def _version(database: Database) -> str:
    with database.connection() as connection:
        row = connection.execute("SELECT current_setting('server_version'), current_database()").fetchone()
    return f"version {row[0]}, database {row[1]}" if row else "it answers"


def check_migrations(database: Database) -> Check:
    state = schema_state(database.engine)
    if state["current"] == state["head"]:
        return Check("migrations", OK, f"revision {state['current']}")
    found = f"at revision {state['current'] or 'none'}, this version needs {state['head']}"
    return Check("migrations", FAILED, found, "syncapp db upgrade")


def check_redis(settings: Settings) -> Check:
    """Redis or Valkey: whether it answers, and whether it may forget what it carries."""
    try:
        url = settings.broker
    except SettingsError as error:
        return Check("Redis", FAILED, str(error), f"set REDIS_URL, or {ALL}")
    client = redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0))
    try:
        memory = client.info("memory")
    except redis.RedisError as error:
        return Check("Redis", FAILED, plain(error), "start Redis, or correct REDIS_URL; until then triggered runs wait")
    finally:
        client.close()
    policy = memory.get("maxmemory_policy", "noeviction")
    if memory.get("maxmemory") and policy != "noeviction":
        found = f"it may throw messages away (maxmemory-policy {policy}); they are sent again, late"
        return Check("Redis", WARNING, found, "set maxmemory-policy to noeviction")
    return Check("Redis", OK, "it answers")


def check_processes(database: Database, settings: Settings) -> Iterator[Check]:
    """A worker for each queue, and a scheduler that ticks."""
    seen = readiness(database, settings, QUEUES)
    for queue in QUEUES:
        if seen.queues[queue] == OK:
            yield Check(f"queue {queue}", OK, "a worker drains it")
        else:
            yield Check(f"queue {queue}", FAILED, "no worker drains it", f"start the Procfile's worker, or {ALL}")
    if seen.checks["scheduler"] == OK:
        yield Check("scheduler", OK, "it ticks")
    else:
        yield Check("scheduler", FAILED, "no scheduler ticks", f"start the Procfile's beat, or {ALL}")


def check_tokens(database: Database, settings: Settings) -> Check:
    """Whether anybody can use the API."""
    kept = settings.syncapp_admin_token or (Path(settings.syncapp_home) / "admin-token").exists()
    if kept or any(token.role == "admin" and token.revoked_at is None for token in list_tokens(database).items):
        return Check("admin token", OK, "there is one")
    mend = "set SYNCAPP_ADMIN_TOKEN, or syncapp tokens create --admin"
    return Check("admin token", WARNING, "there is none, nobody can steer the API", mend)


def check_health(database: Database, settings: Settings) -> Iterator[Check]:
    """How each configured sync has fared for the default organization."""
    scope = Scope(settings.default_organization_id)
    for sync in list_syncs(database, scope, settings, utc_now()):
        if sync.health is not None:
            yield _fared(database, scope, sync, sync.health)


def _fared(database: Database, scope: Scope, sync: SyncView, health: HealthLevel) -> Check:
    name, success = f"{sync.name}: runs", sync.freshness.last_success_at
    since = f"last success {plain(success)}" if success else "no success yet"
    if health in ILL:
        failed = list_runs(database, scope, RunFilter(sync.name, RunStatus.FAILED), limit=1).items
        reason = f"; last error: {failed[0].error.message}" if failed and failed[0].error else ""
        return Check(name, FAILED, plain(f"{health}, {since}{reason}"), f"syncapp runs --sync {sync.name} shows them")
    if health == HealthLevel.WARNING:
        return Check(name, WARNING, f"{health}, {since}", f"syncapp sync {sync.name} runs it now")
    if health == HealthLevel.STOPPED:
        return Check(name, WARNING, "its schedule is disabled", f"syncapp schedules set {sync.name} --enable")
    return Check(name, OK, f"{health}, {since}")


def check_credentials(database: Database) -> Check:
    """Of all organizations."""
    stored = list_credentials(database)
    refused = [f"{one.provider} of {one.organization_id}" for one in stored if not one.valid]
    if not refused:
        return Check("credentials", OK, f"{len(stored)} stored, none refused")
    mend = "syncapp credentials set PROVIDER --organization ID, or `check` once they work again"
    return Check("credentials", FAILED, f"{len(refused)} of {len(stored)} refused: {', '.join(refused[:5])}", mend)


def check_upstreams(settings: Settings) -> Iterator[Check]:
    """Whether each configured sync's upstream answers. Those that are not configured are no fault, unless none is.

    What each organization has credentials for is left to `syncapp credentials check`.
    """
    shared = [sync for sync in SYNCS if sync.provider is None]
    configured = [sync for sync in shared if not list(sync.missing(settings))]
    for sync in shared:
        if sync in configured:
            yield check_upstream(find_sync(sync.name), settings)
            continue
        unset = ", ".join(sync.missing(settings))
        state = OK if configured else FAILED
        yield Check(f"{sync.name}: upstream", state, f"not configured: {unset} unset", f"set {unset} to sync it")


def check_upstream(sync: Sync, settings: Settings) -> Check:
    """Asks for one record of the sync's first stream."""
    mode = sync.default_mode
    organization_id, limit = settings.default_organization_id, rate_limit_for(settings)
    context = SourceContext(settings, organization_id, mode, utc_now, limit, Database(UNUSED))
    source = sync.streams_of(mode)[0].source(context)
    name = f"{sync.name}: upstream"
    if not isinstance(source, Pingable):
        return Check(name, OK, "configured; it cannot be asked without a run")
    return _look(name, lambda: f"it answers in {source.ping():.0f} ms", "correct its address or key")


def _look(name: str, ask: Callable[[], str], mend: str) -> Check:
    try:
        return Check(name, OK, ask())
    except SyncError as error:
        if isinstance(error, ConnectionFailed | CredentialsMissing):
            mend = "check its address, the network and its server"
        if isinstance(error, RateLimited):
            mend = "look again later; nothing is wrong where it passes"
        return Check(name, FAILED, failure_of(error).message, mend)
