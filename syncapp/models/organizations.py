"""Who the data belongs to and who may see it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from syncapp.models.base import Base, OfOrganization
from syncapp.records import Json


class Organization(Base):
    __tablename__ = "organizations"
    __table_args__ = (CheckConstraint("id ~ '^[A-Za-z0-9_-]{1,64}$'", name="id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Token(Base):
    """A bearer token, kept as its SHA-256 alone. `organization_id` is the token's own organization."""

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'member')", name="role"),
        CheckConstraint("role = 'admin' OR organization_id IS NOT NULL", name="member_has_organization"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Credential(OfOrganization, Base):
    """What an organization's source wants to be shown. `secret` is encrypted (`syncapp.encryption`).

    `valid` turns false when the source refuses it; nothing is asked with it then until another one is stored.
    """

    __tablename__ = "credentials"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    region: Mapped[str | None]
    valid: Mapped[bool] = mapped_column(server_default=text("true"))
    checked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEntry(Base):
    """Who did what. It outlives what it names: no foreign key."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_at", "at", "id"),
        Index("ix_audit_log_organization_id", "organization_id", "at", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor: Mapped[str]
    organization_id: Mapped[str | None]
    action: Mapped[str]
    target: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Json]] = mapped_column(server_default="{}")
