"""The foundation: organizations, tokens, runs and all that is kept about them, schedules, wellness."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from config.settings import settings
from syncapp.migrations.operations import create_forget_row_hash, drop_forget_row_hash, watch_row_hash

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id ~ '^[A-Za-z0-9_-]{1,64}$'", name=op.f("ck_organizations_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "processes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queues", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("interval_seconds", sa.Double(), nullable=True),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(cron IS NULL) <> (interval_seconds IS NULL)", name=op.f("ck_schedules_cron_or_interval")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("source_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
        sa.UniqueConstraint("organization_id", "external_id", name=op.f("uq_clients_organization_id_external_id")),
    )
    op.create_index(
        "ix_clients_mock", "clients", ["organization_id"], unique=False, postgresql_where=sa.text("is_mock")
    )
    op.create_index(
        "ix_clients_live",
        "clients",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("response", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_idempotency_keys_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "circuits",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_circuits_organization_id")),
        sa.PrimaryKeyConstraint("sync", "organization_id", name=op.f("pk_circuits")),
    )
    op.create_table(
        "stream_states",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("last_complete_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_stream_states_organization_id")
        ),
        sa.PrimaryKeyConstraint("sync", "organization_id", "stream", name=op.f("pk_stream_states")),
    )
    op.create_table(
        "sync_runs",
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="starting", nullable=False),
        sa.Column("source", sa.Text(), server_default="live", nullable=False),
        sa.Column("dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("full_refresh", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("force", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("allow_mass_delete", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replay_of", sa.Text(), nullable=True),
        sa.Column("retry_of", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resume_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("records_processed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_created", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_deleted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_total", sa.BigInteger(), nullable=True),
        sa.Column("current_operation", sa.Text(), nullable=True),
        sa.Column("steps", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("checkpoint", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("retry_after", sa.Double(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status IN ('starting','running','completed','failed','cancelled')", name=op.f("ck_sync_runs_status")
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_sync_runs_organization_id")),
        sa.PrimaryKeyConstraint("sync_id", name=op.f("pk_sync_runs")),
    )
    op.create_index(
        "ix_sync_runs_organization", "sync_runs", ["organization_id", "created_at", "sync_id"], unique=False
    )
    op.create_index("ix_sync_runs_sync", "sync_runs", ["sync", "organization_id", "created_at"], unique=False)
    op.create_index(
        "ix_sync_runs_unfinished",
        "sync_runs",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('starting', 'running')"),
    )
    op.create_index(
        "uq_sync_runs_live",
        "sync_runs",
        ["sync", "organization_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('starting', 'running') AND NOT dry_run"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role = 'admin' OR organization_id IS NOT NULL", name=op.f("ck_tokens_member_has_organization")
        ),
        sa.CheckConstraint("role IN ('admin', 'member')", name=op.f("ck_tokens_role")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_tokens_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_tokens_token_hash")),
    )
    op.create_table(
        "appointments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_appointments_client_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointments")),
        sa.UniqueConstraint("organization_id", "external_id", name=op.f("uq_appointments_organization_id_external_id")),
    )
    op.create_index("ix_appointments_client_id", "appointments", ["client_id"], unique=False)
    op.create_index(
        "ix_appointments_mock", "appointments", ["organization_id"], unique=False, postgresql_where=sa.text("is_mock")
    )
    op.create_index(
        "ix_appointments_live",
        "appointments",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("record", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("replayable", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_dead_letters_organization_id")
        ),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["sync_runs.sync_id"], name=op.f("fk_dead_letters_sync_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index("ix_dead_letters_sync_id", "dead_letters", ["sync_id", "id"], unique=False)
    op.create_table(
        "run_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["sync_runs.sync_id"], name=op.f("fk_run_changes_sync_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_changes")),
    )
    op.create_index("ix_run_changes_sync_id", "run_changes", ["sync_id", "id"], unique=False)
    op.create_table(
        "run_events",
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["sync_runs.sync_id"], name=op.f("fk_run_events_sync_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sync_id", "seq", name=op.f("pk_run_events")),
    )
    op.create_table(
        "run_keys",
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("keys", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["sync_runs.sync_id"], name=op.f("fk_run_keys_sync_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sync_id", "stream", "number", name=op.f("pk_run_keys")),
    )
    op.bulk_insert(
        sa.table("organizations", sa.column("id"), sa.column("name")),
        [{"id": settings().default_organization_id, "name": "Default organization"}],
    )
    create_forget_row_hash()
    watch_row_hash("clients", ("name", "email", "phone", "source_updated_at"))
    watch_row_hash("appointments", ("client_id", "status", "starts_at", "source_updated_at"))


def downgrade() -> None:
    op.drop_table("run_keys")
    op.drop_table("run_events")
    op.drop_index("ix_run_changes_sync_id", table_name="run_changes")
    op.drop_table("run_changes")
    op.drop_index("ix_dead_letters_sync_id", table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_index("ix_appointments_live", table_name="appointments", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index("ix_appointments_client_id", table_name="appointments")
    op.drop_table("appointments")
    op.drop_table("tokens")
    op.drop_index(
        "uq_sync_runs_live",
        table_name="sync_runs",
        postgresql_where=sa.text("status IN ('starting', 'running') AND NOT dry_run"),
    )
    op.drop_index(
        "ix_sync_runs_unfinished", table_name="sync_runs", postgresql_where=sa.text("status IN ('starting', 'running')")
    )
    op.drop_index("ix_sync_runs_sync", table_name="sync_runs")
    op.drop_index("ix_sync_runs_organization", table_name="sync_runs")
    op.drop_table("sync_runs")
    op.drop_table("stream_states")
    op.drop_table("circuits")
    op.drop_index(op.f("ix_idempotency_keys_created_at"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_clients_live", table_name="clients", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("clients")
    op.drop_table("schedules")
    op.drop_table("processes")
    op.drop_table("organizations")
    drop_forget_row_hash()
