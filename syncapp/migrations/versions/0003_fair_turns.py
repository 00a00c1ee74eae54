"""Since when a run waits, and which of an organization's are in workers' hands."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sync_runs",
        sa.Column("waiting_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index(
        "ix_sync_runs_held",
        "sync_runs",
        ["organization_id"],
        unique=False,
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_sync_runs_held", table_name="sync_runs", postgresql_where=sa.text("lease_owner IS NOT NULL"))
    op.drop_column("sync_runs", "waiting_since")
