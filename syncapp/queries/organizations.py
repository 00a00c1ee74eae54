"""Organizations and their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import Organization, Token
from syncapp.scope import EVERYONE


@dataclass(frozen=True, slots=True)
class OrganizationView:
    id: str
    name: str
    active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token without its secret. `organization_id` None is an admin's who belongs to no organization."""

    id: str
    name: str
    role: str
    organization_id: str | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def list_organizations(db: Database) -> list[OrganizationView]:
    """All of them, the oldest first."""
    columns = (Organization.id, Organization.name, Organization.active, Organization.created_at)
    with db.session(EVERYONE) as session:
        rows = session.execute(select(*columns).order_by(Organization.created_at, Organization.id)).all()
    return [OrganizationView(*row) for row in rows]


def check_organization(db: Database, organization_id: str) -> None:
    """Raises NotFound."""
    with db.session(EVERYONE) as session:
        if session.get(Organization, organization_id) is None:
            raise NotFound(f"There is no organization {organization_id}")


def list_tokens(db: Database, organization_id: str | None = None) -> list[TokenView]:
    """The organization's tokens, or those of all, the newest first; revoked ones too."""
    names = ("id", "name", "role", "organization_id", "created_at", "last_used_at", "revoked_at")
    query = select(*(getattr(Token, name) for name in names)).order_by(Token.created_at.desc(), Token.id)
    if organization_id is not None:
        query = query.where(Token.organization_id == organization_id)
    with db.session(EVERYONE) as session:
        return [TokenView(*row) for row in session.execute(query).all()]
