"""Organizations and their tokens."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import func, select

from syncapp.db import Database
from syncapp.errors import NotFound
from syncapp.models import Organization, Token
from syncapp.queries.paging import Listed
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


ORGANIZATION = [getattr(Organization, field.name) for field in fields(OrganizationView)]
TOKEN = [getattr(Token, field.name) for field in fields(TokenView)]


def list_organizations(db: Database, *, limit: int | None = None, offset: int = 0) -> Listed:
    """The oldest first; all of them where no limit is given."""
    query = select(*ORGANIZATION).order_by(Organization.created_at, Organization.id).limit(limit).offset(offset)
    with db.session(EVERYONE) as session:
        total = session.execute(select(func.count()).select_from(Organization)).scalar_one()
        return Listed([OrganizationView(*row) for row in session.execute(query)], total)


def get_organization(db: Database, organization_id: str) -> OrganizationView:
    """Raises NotFound."""
    with db.session(EVERYONE) as session:
        row = session.execute(select(*ORGANIZATION).where(Organization.id == organization_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no organization {organization_id}")
    return OrganizationView(*row)


def check_organization(db: Database, organization_id: str) -> None:
    """Raises NotFound."""
    get_organization(db, organization_id)


def is_active(db: Database, organization_id: str) -> bool:
    """Whether there is such an organization, and it is active."""
    with db.session(EVERYONE) as session:
        row = session.get(Organization, organization_id)
        return row is not None and row.active


def list_tokens(
    db: Database, organization_id: str | None = None, *, limit: int | None = None, offset: int = 0
) -> Listed:
    """The organization's tokens, or those of all, the newest first; revoked ones too. All where no limit is given."""
    wanted = [] if organization_id is None else [Token.organization_id == organization_id]
    query = select(*TOKEN).where(*wanted).order_by(Token.created_at.desc(), Token.id).limit(limit).offset(offset)
    with db.session(EVERYONE) as session:
        total = session.execute(select(func.count()).select_from(Token).where(*wanted)).scalar_one()
        return Listed([TokenView(*row) for row in session.execute(query)], total)
