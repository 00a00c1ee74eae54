"""Bearer tokens: shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from syncapp.audit import Actor, add_entry
from syncapp.db import Database
from syncapp.errors import Forbidden, NotFound, ValidationFailed
from syncapp.models import Organization, Token
from syncapp.scope import EVERYONE

INACTIVE = "ORGANIZATION_INACTIVE"


@dataclass(frozen=True, slots=True)
class NewToken:
    id: str
    name: str
    role: str
    organization_id: str | None
    token: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token stands for. `token_id` None is the token of the environment, or one of an identity provider."""

    token_id: str | None
    name: str
    role: str
    organization_id: str | None

    @property
    def actor(self) -> str:
        """As the audit trail names it."""
        return self.name if self.token_id is None else f"token:{self.token_id}"


def hash_token(token: str) -> bytes:
    """Tokens are 256 random bits: a plain SHA-256 is enough, and quick enough for every request."""
    return hashlib.sha256(token.encode()).digest()


def create_token(db: Database, *, name: str, role: str, organization_id: str | None, actor: Actor) -> NewToken:
    """Raises ValidationFailed (role, or a member without organization), NotFound (organization)."""
    if role not in ("admin", "member"):
        raise ValidationFailed("role must be admin or member", details={"fields": {"role": ["admin or member"]}})
    if role == "member" and organization_id is None:
        raise ValidationFailed(
            "a member's token needs an organization", details={"fields": {"organization_id": ["missing"]}}
        )
    secret = f"syncapp_{secrets.token_urlsafe(32)}"
    token = Token(
        id=f"tok_{secrets.token_hex(8)}",
        organization_id=organization_id,
        name=name,
        role=role,
        token_hash=hash_token(secret),
    )
    with db.session(EVERYONE) as session:
        if organization_id is not None and session.get(Organization, organization_id) is None:
            raise NotFound(f"There is no organization {organization_id}")
        session.add(token)
        session.flush()
        session.refresh(token)
        told = {"name": name, "role": role}
        add_entry(session, actor, "token.created", organization_id=organization_id, target=token.id, details=told)
        return NewToken(token.id, name, role, organization_id, secret, token.created_at)


def find_caller(db: Database, token: str) -> Caller | None:
    """Whom the token stands for, None where it is unknown or revoked. Notes the use, at most once a minute.

    Raises Forbidden where it is a member's of an organization that is not active.
    """
    query = select(Token, Organization.active).outerjoin(Organization, Organization.id == Token.organization_id)
    with db.session(EVERYONE) as session:
        row = session.execute(
            query.where(Token.token_hash == hash_token(token), Token.revoked_at.is_(None))
        ).one_or_none()
        if row is None:
            return None
        found, active = row
        if found.role == "member" and not active:
            raise Forbidden(f"The organization {found.organization_id} is not active", error_code=INACTIVE)
        now = session.execute(select(func.now())).scalar_one()
        if found.last_used_at is None or (now - found.last_used_at).total_seconds() > 60:
            found.last_used_at = now
        return Caller(found.id, found.name, found.role, found.organization_id)


def revoke_token(db: Database, token_id: str, actor: Actor, *, organization_id: str | None = None) -> None:
    """The token is good for nothing from now on; once more does nothing.

    Raises NotFound: unknown, or not of the organization where one is given.
    """
    with db.session(EVERYONE) as session:
        token = session.get(Token, token_id, with_for_update=True)
        if token is None or organization_id not in (None, token.organization_id):
            raise NotFound(f"There is no token {token_id}")
        if token.revoked_at is not None:
            return
        token.revoked_at = session.execute(select(func.now())).scalar_one()
        told = {"name": token.name, "role": token.role}
        add_entry(session, actor, "token.revoked", organization_id=token.organization_id, target=token_id, details=told)
