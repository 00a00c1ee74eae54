"""Migrations go forward and back, say the same as the models, and make the default organization."""

from __future__ import annotations

import subprocess
import sys

import psycopg
from alembic import command

from syncapp.migrations.command import config, downgrade, head, upgrade


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in found}


def is_current(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return found == (head(),)


def test_down_to_nothing_and_up_again(database_dsn: str, database_url: str) -> None:
    downgrade(database_url, "base")
    assert tables(database_dsn) == {"alembic_version"}
    assert not is_current(database_dsn)
    upgrade(database_url)
    assert is_current(database_dsn)
    with psycopg.connect(database_dsn) as connection:
        assert connection.execute("SELECT id, active FROM organizations").fetchall() == [("default", True)]


def test_models_and_migrations_say_the_same(database_url: str) -> None:
    command.check(config(database_url))


def test_several_processes_may_migrate_at_once(database_dsn: str, database_url: str) -> None:
    downgrade(database_url, "base")
    code = f"from syncapp.migrations.command import upgrade; upgrade({database_url!r})"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert is_current(database_dsn)
