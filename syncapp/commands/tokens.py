"""Bearer tokens: shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from syncapp.db import Database
from syncapp.errors import NotFound, ValidationFailed
from syncapp.models import Organization, Token
from syncapp.scope import EVERYONE


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
    """Whom a token stands for. `token_id` None is the token of the environment."""

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


def create_token(db: Database, *, name: str, role: str, organization_id: str | None) -> NewToken:
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
        return NewToken(token.id, name, role, organization_id, secret, token.created_at)


def find_caller(db: Database, token: str) -> Caller | None:
    """Whom the token stands for, None where it is unknown or revoked. Notes the use, at most once a minute."""
    with db.session(EVERYONE) as session:
        found = session.execute(
            select(Token).where(Token.token_hash == hash_token(token), Token.revoked_at.is_(None))
        ).scalar_one_or_none()
        if found is None:
            return None
        now = session.execute(select(func.now())).scalar_one()
        if found.last_used_at is None or (now - found.last_used_at).total_seconds() > 60:
            found.last_used_at = now
        return Caller(found.id, found.name, found.role, found.organization_id)


def revoke_token(db: Database, token_id: str) -> None:
    """The token is good for nothing from now on; once more does nothing. Raises NotFound."""
    with db.session(EVERYONE) as session:
        token = session.get(Token, token_id, with_for_update=True)
        if token is None:
            raise NotFound(f"There is no token {token_id}")
        token.revoked_at = token.revoked_at or session.execute(select(func.now())).scalar_one()
