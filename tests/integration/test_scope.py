"""Whoever reads an organization's rows says whose: no query reaches further, however it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, func, literal, select, text, update
from sqlalchemy.orm import Session, aliased

from syncapp.db import Database, ScopeMissing
from syncapp.models import Base, Client, DeadLetter, OfOrganization, Organization, Run
from syncapp.scope import EVERYONE, Scope
from tests.integration.api import Api

ACME = Scope("acme")
OTHER = aliased(Run)


@pytest.fixture
def database(api: Api) -> Iterator[Database]:
    api.add_organization("acme")
    api.add_run("sync_mine", organization_id="acme")
    api.add_run("sync_theirs")
    api.add_run("sync_theirs_too", sync="appointments")
    return api.database


# Each must find the one run of acme, or count 1.
QUERIES: list[Any] = [
    select(Run.sync_id),
    select(Run),
    select(func.count()).select_from(Run),
    select(func.count(Run.sync_id)),
    select(func.count()).where(Run.status == "completed"),
    select(OTHER.sync_id),
    select(select(func.count()).select_from(Run).scalar_subquery()),
    select(literal(1), select(func.max(OTHER.sync_id)).scalar_subquery()),
    select(func.count()).select_from(select(Run.sync_id).subquery()),
    select(func.count()).select_from(Organization).join(Run, Run.organization_id == Organization.id),
    select(
        Organization.id, select(Run.sync_id).where(Run.organization_id == Organization.id).limit(1).scalar_subquery()
    ).where(Organization.id == "acme"),
    select(Organization.id).where(select(Run.sync_id).where(Run.organization_id == Organization.id).exists()),
    select(func.count()).where(Organization.id.in_(select(Run.organization_id))),
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_scope_bounds_every_query(database: Database, query: Any) -> None:
    with database.session(ACME) as session:
        [row] = session.execute(query).all()
    assert row[-1] in (1, "sync_mine", "acme") or row[-1].sync_id == "sync_mine"


def test_get(database: Database) -> None:
    with database.session(ACME) as session:
        assert session.get(Run, "sync_mine") is not None
        assert session.get(Run, "sync_theirs") is None


def test_update_and_delete(database: Database, api: Api) -> None:
    with database.session(ACME) as session:
        session.execute(update(Run).values(mode="changed"))
        session.execute(delete(Run).where(Run.sync_id == "sync_theirs"))
        session.execute(delete(DeadLetter))
    changed = api.query("SELECT sync_id FROM sync_runs WHERE mode = 'changed'")
    assert changed == [{"sync_id": "sync_mine"}]
    assert len(api.query("SELECT * FROM sync_runs")) == 3


def test_everyone_sees_all(database: Database) -> None:
    with database.session(EVERYONE) as session:
        assert len(session.execute(select(Run)).all()) == 3


@pytest.mark.parametrize("query", [*QUERIES, select(Client), update(Run).values(mode="x"), text("SELECT 1")])
def test_without_a_scope_nothing_is_read(database: Database, query: Any) -> None:
    with Session(database.engine) as session, pytest.raises(ScopeMissing):
        session.execute(query)


def test_every_table_with_an_organization_is_bound() -> None:
    """A table that names an organization and is no OfOrganization would be read by everyone."""
    bound = {mapper.local_table.name for mapper in Base.registry.mappers if issubclass(mapper.class_, OfOrganization)}
    named = {table.name for table in Base.metadata.tables.values() if "organization_id" in table.columns}
    # Tokens are looked up by their hash, before anybody knows whose they are; the audit trail is for admins alone.
    assert named - bound == {"tokens", "audit_log"}
