"""Real servers for the whole session, a fresh database and an empty Valkey for each test that asks."""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from syncapp.embedded.guard import Guard
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer
from syncapp.migrations.command import upgrade

# Whoever starts the tests in the background or under nohup leaves these ignored, and every process we start inherits
# that: what we test is what a signal does to a process that was started as usual.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

TEMPLATE = "migrated"
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}  # safe where processes die, not machines
NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter, which pytest's own temporary folders are not."""
    path = Path(tempfile.mkdtemp(prefix="syncapp-tests-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    """Ends the session's servers even where pytest is killed."""
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture(scope="session")
def postgres(servers_home: Path, guard: Guard) -> Iterator[PostgresServer]:
    """The session's PostgreSQL. A test may kill or restart it: whoever asks for a database next finds it running."""
    server = PostgresServer(servers_home / "home", settings=FAST, guard=guard)
    server.start(60)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(servers_home: Path, guard: Guard) -> Iterator[ValkeyServer]:
    """The session's Valkey. A test may kill or restart it."""
    server = ValkeyServer(servers_home / "home", guard=guard)
    server.start(60)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """The name of a database with all migrations, from which the tests' databases are copied."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE).replace("postgresql://", "postgresql+psycopg://"))
    return TEMPLATE


@pytest.fixture
def database_dsn(postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database of this test alone, as libpq's address (for psycopg)."""
    if not postgres.is_running():
        postgres.start()
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY")
    yield postgres.url_of(name)
    if not postgres.is_running():
        postgres.start()
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(database_dsn: str) -> str:
    """The same database as SQLAlchemy's address, which is also what DATABASE_URL may hold."""
    return database_dsn.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    """The session's Valkey, emptied."""
    if not valkey.is_running():
        valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url
