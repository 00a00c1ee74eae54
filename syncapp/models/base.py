"""What all tables share."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Identity, Integer, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from syncapp.records import Json

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own way to say it)
        datetime: DateTime(timezone=True),
        str: Text,
        Json: JSONB,
        dict[str, Json]: JSONB,
        list[Json]: JSONB,
    }


class OfOrganization:
    """A table whose rows belong to an organization. `Database.session` binds every query on it to one."""

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))


class Synced(OfOrganization):
    """The head and tail of every table that a sync fills."""

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-3)
    # No foreign key: rows are written by runs, which have one, and checking it for each row costs a first load a tenth.
    organization_id: Mapped[str] = mapped_column(sort_order=-2)
    external_id: Mapped[str] = mapped_column(sort_order=-1)
    last_synced_at: Mapped[datetime | None] = mapped_column(sort_order=90)
    sync_status: Mapped[str] = mapped_column(server_default="pending", sort_order=90)
    sync_errors: Mapped[str | None] = mapped_column(sort_order=90)
    is_mock: Mapped[bool] = mapped_column(Boolean, server_default=text("false"), sort_order=90)
    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=90)
    row_hash: Mapped[int | None] = mapped_column(BigInteger, sort_order=99)


class Versioned:
    """Counts the real changes of a synced row: 1 when it is created, one up each time what the source says differs."""

    data_version: Mapped[int] = mapped_column(Integer, server_default="1", sort_order=95)
    last_updated: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=95)
