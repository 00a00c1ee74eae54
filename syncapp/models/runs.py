"""Runs, and all that the engine keeps about them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from syncapp.models.base import Base, OfOrganization
from syncapp.records import Json

LIVE = text("status IN ('starting', 'running') AND NOT dry_run")
HELD = text("lease_owner IS NOT NULL")
NOT_ENDED = text("status IN ('starting', 'running')")


class Run(OfOrganization, Base):
    """One execution of a sync for one organization.

    starting    committed, not taken by a worker yet
    running     taken; between attempts, or parked until `resume_at`, it has no lease

    `waiting_since` is when it was accepted or last given back: its place in the line.
    `lease_token` goes up with every worker that takes the run: a worker whose token is no longer this one cannot write.
    `replay_of` is the run whose failed records are read again, `undo_of` the one whose changes are put back, `retry_of`
    the run that this one goes on with. `id` numbers the runs, for readers who know no `sync_id`.
    `checkpoint` maps a stream to what an interrupted read needs to go on. `event_seq` numbers the run's events.
    """

    __tablename__ = "sync_runs"
    __table_args__ = (
        CheckConstraint("status IN ('starting','running','completed','failed','cancelled')", name="status"),
        Index("uq_sync_runs_live", "sync", "organization_id", unique=True, postgresql_where=LIVE),
        Index("ix_sync_runs_unfinished", "created_at", postgresql_where=NOT_ENDED),
        Index("ix_sync_runs_held", "organization_id", postgresql_where=HELD),
        Index("ix_sync_runs_organization", "organization_id", "created_at", "sync_id"),
        Index("ix_sync_runs_sync", "sync", "organization_id", "created_at"),
    )

    sync_id: Mapped[str] = mapped_column(primary_key=True)
    sync: Mapped[str]
    mode: Mapped[str]
    trigger: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="starting")
    source: Mapped[str] = mapped_column(server_default="live")
    dry_run: Mapped[bool] = mapped_column(server_default=text("false"))
    full_refresh: Mapped[bool] = mapped_column(server_default=text("false"))
    force: Mapped[bool] = mapped_column(server_default=text("false"))
    allow_mass_delete: Mapped[bool] = mapped_column(server_default=text("false"))
    since: Mapped[datetime | None]
    replay_of: Mapped[str | None]
    undo_of: Mapped[str | None]
    retry_of: Mapped[str | None]
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    resume_at: Mapped[datetime | None]
    waiting_since: Mapped[datetime] = mapped_column(server_default=func.now())
    dispatched_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    records_processed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    records_created: Mapped[int] = mapped_column(BigInteger, server_default="0")
    records_updated: Mapped[int] = mapped_column(BigInteger, server_default="0")
    records_unchanged: Mapped[int] = mapped_column(BigInteger, server_default="0")
    records_deleted: Mapped[int] = mapped_column(BigInteger, server_default="0")
    records_failed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    records_total: Mapped[int | None] = mapped_column(BigInteger)
    current_operation: Mapped[str | None]
    steps: Mapped[list[Json]] = mapped_column(JSONB, server_default="[]")
    checkpoint: Mapped[dict[str, Json]] = mapped_column(JSONB, server_default="{}")
    error_type: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    retry_after: Mapped[float | None]
    lease_owner: Mapped[str | None]
    lease_token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease_expires_at: Mapped[datetime | None]
    event_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    id: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)


class RunEvent(Base):
    """What happened to a run, numbered without gaps from 1."""

    __tablename__ = "run_events"

    sync_id: Mapped[str] = mapped_column(ForeignKey("sync_runs.sync_id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    kind: Mapped[str]
    data: Mapped[dict[str, Json]] = mapped_column(JSONB, server_default="{}")


class RunKeys(Base):
    """The keys a complete read has brought so far, a row a batch; gone when the run ends."""

    __tablename__ = "run_keys"

    sync_id: Mapped[str] = mapped_column(ForeignKey("sync_runs.sync_id", ondelete="CASCADE"), primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    keys: Mapped[list[str]] = mapped_column(ARRAY(Text))


class RunChange(Base):
    """What a run changed, or a dry run would change, row by row.

    `before` and `after` are objects by field (`address.city`, `rooms[12].max_adults`) with what differs. Of a row that
    was created or removed the table itself has the content: both are empty, but for what a dry run would have created.
    """

    __tablename__ = "run_changes"
    __table_args__ = (
        Index("ix_run_changes_sync_id", "sync_id", "id"),
        Index("ix_run_changes_external_id", "external_id", "stream", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    sync_id: Mapped[str] = mapped_column(ForeignKey("sync_runs.sync_id", ondelete="CASCADE"))
    stream: Mapped[str]
    external_id: Mapped[str]
    operation: Mapped[str]
    before: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))


class RecordMark(OfOrganization, Base):
    """What a source wants to be told of a record when it is read again, such as the ETag of an answer."""

    __tablename__ = "record_marks"

    sync: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    mark: Mapped[Json] = mapped_column(JSONB)


class StreamState(OfOrganization, Base):
    """How far a stream has been read, over all runs. `cursor` is in the source's terms."""

    __tablename__ = "stream_states"

    sync: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[str | None]
    last_complete_at: Mapped[datetime | None]


class Circuit(OfOrganization, Base):
    """How often in a row a sync could not reach its source. Open until `open_until`; after that one run may try."""

    __tablename__ = "circuits"

    sync: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    open_until: Mapped[datetime | None]


class DeadLetter(OfOrganization, Base):
    """A record that failed, kept with its reason.

    `replayable` is false where `record` is not what the source sent: PostgreSQL could not hold it, or it was too long.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("ix_dead_letters_sync_id", "sync_id", "id"),
        ForeignKeyConstraint(["sync_id"], ["sync_runs.sync_id"], ondelete="CASCADE"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    sync_id: Mapped[str]
    stream: Mapped[str]
    external_id: Mapped[str | None]
    error_type: Mapped[str]
    message: Mapped[str]
    record: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    replayable: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    replayed_at: Mapped[datetime | None]


class IdempotencyKey(OfOrganization, Base):
    """The first answer to a POST, kept for a day."""

    __tablename__ = "idempotency_keys"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    response: Mapped[dict[str, Json]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
