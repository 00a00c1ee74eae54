"""The tables of the wellness syncs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from syncapp.models.base import Base, Synced


class Client(Synced, Base):
    __tablename__ = "clients"
    __table_args__ = (
        UniqueConstraint("organization_id", "external_id"),
        Index("ix_clients_live", "organization_id", "sync_status", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_clients_mock", "organization_id", postgresql_where=text("is_mock")),
    )

    name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    source_updated_at: Mapped[datetime | None]


class Appointment(Synced, Base):
    __tablename__ = "appointments"
    __table_args__ = (
        UniqueConstraint("organization_id", "external_id"),
        Index("ix_appointments_live", "organization_id", "sync_status", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_appointments_mock", "organization_id", postgresql_where=text("is_mock")),
        Index("ix_appointments_client_id", "client_id"),
    )

    client_id: Mapped[int | None] = mapped_column(ForeignKey("clients.id", ondelete="SET NULL"))
    status: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    source_updated_at: Mapped[datetime | None]
