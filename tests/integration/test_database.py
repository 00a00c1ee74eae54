"""Connections to PostgreSQL: those that died are replaced, and an outage has one name."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from syncapp.db import Database
from syncapp.embedded.postgres import PostgresServer
from syncapp.errors import DatabaseUnavailable
from syncapp.scope import EVERYONE
from tests.waiting import wait_for

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.dispose()


def ask(database: Database) -> int:
    with database.session(EVERYONE) as session:
        return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_a_connection_is_used_again(database: Database) -> None:
    assert ask(database) == ask(database)


def test_connections_that_the_server_closed_are_replaced(database: Database, database_dsn: str) -> None:
    before = ask(database)
    with psycopg.connect(database_dsn, autocommit=True) as admin:
        admin.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        wait_for(lambda: admin.execute(f"SELECT count(*) {OTHERS}").fetchone() == (0,), what="the sessions have ended")
    assert ask(database) != before
    with database.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with database.statements() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_restart_between_two_queries_is_not_noticed(database: Database, postgres: PostgresServer) -> None:
    ask(database)
    postgres.stop()
    postgres.start()
    assert ask(database) > 0


def test_an_outage(database: Database, postgres: PostgresServer) -> None:
    ask(database)
    postgres.stop()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable) as caught:
            ask(database)
        assert caught.value.retry_after
        with pytest.raises(DatabaseUnavailable), database.statements() as connection:
            connection.execute("SELECT 1")
    postgres.start()
    assert ask(database) > 0


class TestStatements:
    """Each statement commits by itself."""

    def test_it_is_committed_at_once(self, database: Database) -> None:
        with database.statements() as connection, database.connection() as other:
            connection.execute("INSERT INTO organizations (id, name) VALUES ('acme', 'Acme')")
            assert other.execute("SELECT name FROM organizations WHERE id = 'acme'").fetchone() == ("Acme",)

    def test_one_that_fails_spoils_nothing(self, database: Database) -> None:
        for _ in range(2):
            with pytest.raises(psycopg.errors.UndefinedTable), database.statements() as connection:
                connection.execute("SELECT * FROM nothing")
        with database.connection() as connection:
            assert connection.autocommit is False
            assert connection.execute("SELECT 1").fetchone() == (1,)
