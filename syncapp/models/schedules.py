"""Schedules and settings, and the processes that keep them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from syncapp.models.base import Base, OfOrganization


class Schedule(Base):
    """When a sync runs by itself. PostgreSQL owns it; RedBeat carries a mirror of it."""

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("(cron IS NULL) <> (interval_seconds IS NULL)", name="cron_or_interval"),
        CheckConstraint("interval_seconds > 0 AND interval_seconds < 1e9", name="interval"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    cron: Mapped[str | None]
    interval_seconds: Mapped[float | None]
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    next_run_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OrganizationSchedule(OfOrganization, Base):
    """When an organization with a source of its own last had its turn of the schedule `name`."""

    __tablename__ = "organization_schedules"

    name: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    last_run_at: Mapped[datetime]


class SettingValue(Base):
    """A setting of a sync that can be changed while it runs. The view `sync_settings` shows those of the properties."""

    __tablename__ = "sync_setting_values"
    __table_args__ = (UniqueConstraint("sync", "setting_key"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(start=3), primary_key=True)  # the view numbers two itself
    sync: Mapped[str]
    setting_key: Mapped[str]
    setting_value: Mapped[str]
    description: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Process(Base):
    """A worker or scheduler that was alive at `seen_at`."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
