"""The one place where processes reach PostgreSQL, and where every query is bound to an organization."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria
from sqlalchemy.pool import PoolProxiedConnection

from syncapp.errors import DatabaseUnavailable
from syncapp.models import OfOrganization
from syncapp.scope import Scope

# A session that was ended because we were silent; a server that has just become, or is still, a standby.
CUT_OFF = (psycopg.errors.IdleInTransactionSessionTimeout, psycopg.errors.ReadOnlySqlTransaction)
UNAVAILABLE = "PostgreSQL cannot be reached; try again in a moment"


class ScopeMissing(RuntimeError):
    """A query on an organization's table ran in a session that was not bound to anyone. A bug, never a user's fault."""


class Database:
    """One per process, made after fork. Connections are pooled; a connection found dead is replaced.

    PostgreSQL ends a transaction in which we have been silent for `longest_pause` seconds: a process that is frozen, or
    a host that vanished, must not keep its locks from those who go on with its work.
    """

    def __init__(
        self, url: str, *, pool_size: int = 5, application_name: str = "syncapp", longest_pause: float = 60.0
    ) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=10,
            hide_parameters=True,
            json_deserializer=orjson.loads,  # a number that was a float comes back as one, however many digits it has
            connect_args={
                "connect_timeout": 3,
                "application_name": application_name,
                "keepalives_idle": 30,
                "tcp_user_timeout": 10_000,
                "options": "-c timezone=UTC -c lock_timeout=30s -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10"
                f" -c tcp_keepalives_count=3 -c idle_in_transaction_session_timeout={longest_pause * 1000:.0f}",
            },
        )
        event.listen(self.engine, "checkout", _drop_if_dead)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """A transaction in which every query on an organization's rows sees those of `scope` alone.

        Raises DatabaseUnavailable where PostgreSQL cannot be reached.
        """
        with _unavailable(), self._sessions.begin() as session:
            session.info["scope"] = scope
            yield session

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A raw connection for the merge and the engine, whose statements name the organization themselves.

        One transaction, which begins together with its first statement: committed at the end, rolled back by the pool
        on an error. Raises DatabaseUnavailable.
        """
        with self._pooled() as raw:
            yield raw
            raw.commit()

    @contextmanager
    def statements(self) -> Iterator[psycopg.Connection[Any]]:
        """A raw connection on which every statement commits by itself, for commands that take one: a single round trip.

        The statement names the organization itself. Raises DatabaseUnavailable.
        """
        with self._pooled() as raw:
            raw.autocommit = True
            try:
                yield raw
            finally:
                if not raw.closed:
                    raw.autocommit = False

    @contextmanager
    def _pooled(self) -> Iterator[psycopg.Connection[Any]]:
        with _unavailable():
            pooled = self.engine.raw_connection()
            try:
                yield _raw(pooled)
            finally:
                pooled.close()

    def dispose(self) -> None:
        self.engine.dispose()


def raw_connection(session: Session) -> psycopg.Connection[Any]:
    """The connection under a session's transaction, for the engine's statements. Flush the session first."""
    return _raw(session.connection().connection)


def _raw(pooled: PoolProxiedConnection) -> psycopg.Connection[Any]:
    raw = pooled.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("the engine needs psycopg 3")
    return raw


def _drop_if_dead(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """Replaces a connection that the server has left, before anybody uses it.

    On an idle connection there is nothing to read unless the server said good-bye: asking the kernel tells the same as
    a SELECT would, without the round trip.
    """
    poll = select.poll()
    if not connection.closed:
        poll.register(connection.fileno(), select.POLLIN)
    if connection.closed or poll.poll(0):
        raise InvalidatePoolError("PostgreSQL closed the connection")


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turns what drivers say about a lost server into DatabaseUnavailable."""
    try:
        yield
    except psycopg.errors.ProgramLimitExceeded:  # psycopg counts it as operational; it is the data's fault
        raise
    except (psycopg.OperationalError, *CUT_OFF, PoolTimeout) as error:
        raise DatabaseUnavailable(UNAVAILABLE, retry_after=5) from error
    except OperationalError as error:
        raise DatabaseUnavailable(UNAVAILABLE, retry_after=5) from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error.orig, CUT_OFF):
            raise DatabaseUnavailable(UNAVAILABLE, retry_after=5) from error
        raise


@event.listens_for(Session, "do_orm_execute")
def _bind_to_organization(state: ORMExecuteState) -> None:
    """Adds the organization to every SELECT, UPDATE and DELETE on an organization's tables, in subqueries too."""
    scope = state.session.info.get("scope")
    if scope is None:
        raise ScopeMissing("open sessions with Database.session(scope)")
    if scope.organization_id is None or not (state.is_select or state.is_update or state.is_delete):
        return
    wanted = scope.organization_id
    state.statement = state.statement.options(
        with_loader_criteria(OfOrganization, lambda model: model.organization_id == wanted, include_aliases=True)
    )
