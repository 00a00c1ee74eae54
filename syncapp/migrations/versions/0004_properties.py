"""Properties, settings that change at run time, the history of changes and its undoing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from syncapp.migrations.operations import watch_row_hash

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOT_THE_SOURCE_S = (
    *("id", "organization_id", "external_id", "property_id"),
    *("last_synced_at", "sync_status", "sync_errors", "is_mock", "deleted_at", "row_hash"),
    *("data_version", "last_updated", "last_synced"),
)
SHOW_DURATION = """
CREATE FUNCTION show_duration(seconds double precision) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN whole = 0 THEN '0s' ELSE concat(
        nullif(days, 0) || 'd', nullif(rest / 3600, 0) || 'h', nullif(rest % 3600 / 60, 0) || 'm',
        nullif(rest % 60, 0) || 's') END
    FROM (SELECT greatest(0, round(seconds))::bigint AS whole) w,
         LATERAL (SELECT CASE WHEN whole >= 172800 THEN whole / 86400 ELSE 0 END AS days) d,
         LATERAL (SELECT whole - days * 86400 AS rest) r
$$"""
SETTINGS = """
CREATE VIEW sync_settings AS
SELECT id, setting_key, setting_value, description, updated_at FROM sync_setting_values WHERE sync = 'properties'
UNION ALL
SELECT 1, 'sync_interval', coalesce(cron, show_duration(interval_seconds)),
       'How often the properties are synced: 5m to 7d', updated_at FROM schedules WHERE name = 'properties'
UNION ALL
SELECT 2, 'enable_auto', enabled::text,
       'Whether they are synced by themselves: true or false', updated_at FROM schedules WHERE name = 'properties'"""
LOGS = """
CREATE VIEW sync_logs AS
SELECT id, sync_id,
       CASE WHEN undo_of IS NOT NULL THEN 'undo' WHEN replay_of IS NOT NULL THEN 'replay' ELSE trigger END AS sync_type,
       status, coalesce(started_at, created_at) AS started_at, completed_at,
       records_processed AS total_properties,
       records_created + records_updated AS updated_properties, records_failed AS failed_properties,
       error_message, created_at, organization_id
FROM sync_runs WHERE sync = 'properties' AND NOT dry_run"""
REVIEWS = """
CREATE VIEW property_reviews AS
SELECT p.property_id, review ->> 'review_id' AS review_id,
       CASE WHEN jsonb_typeof(review -> 'average_score') = 'number' THEN (review ->> 'average_score')::numeric END
       AS average_score,
       review ->> 'country' AS country, review ->> 'type' AS type, review ->> 'name' AS name,
       review ->> 'date' AS date, review ->> 'headline' AS headline, review ->> 'language' AS language,
       review ->> 'pros' AS pros, review ->> 'cons' AS cons, review ->> 'source' AS source
FROM properties p, jsonb_array_elements(p.reviews) review WHERE p.deleted_at IS NULL"""
TRANSLATIONS = """
CREATE VIEW property_translations AS
SELECT p.property_id, t.language, coalesce(t.content ->> 'hotel_name', p.hotel_name) AS hotel_name,
       coalesce(t.content ->> 'description', p.description) AS description,
       coalesce(t.content ->> 'markdown_description', p.markdown_description) AS markdown_description,
       coalesce(t.content ->> 'important_info', p.important_info) AS important_info, t.content
FROM properties p, jsonb_each(p.translations) AS t(language, content) WHERE p.deleted_at IS NULL"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '30s'")  # rather no migration than triggers that wait for it
    op.create_index("ix_run_changes_external_id", "run_changes", ["external_id", "stream", "id"], unique=False)
    op.create_check_constraint("interval", "schedules", "interval_seconds > 0 AND interval_seconds < 1e9")
    op.add_column("sync_runs", sa.Column("undo_of", sa.Text(), nullable=True))
    op.add_column("sync_runs", sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False))
    op.create_unique_constraint(op.f("uq_sync_runs_id"), "sync_runs", ["id"])
    op.create_table(
        "record_marks",
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("mark", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_record_marks_organization_id")
        ),
        sa.PrimaryKeyConstraint("sync", "organization_id", "stream", "external_id", name=op.f("pk_record_marks")),
    )
    op.create_table(
        "sync_setting_values",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False, start=3), nullable=False),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("setting_key", sa.Text(), nullable=False),
        sa.Column("setting_value", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_setting_values")),
        sa.UniqueConstraint("sync", "setting_key", name=op.f("uq_sync_setting_values_sync_setting_key")),
    )
    _create_properties()
    for statement in (SHOW_DURATION, SETTINGS, LOGS, REVIEWS, TRANSLATIONS):
        op.execute(statement)


def _create_properties() -> None:
    properties = op.create_table(
        "properties",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("property_id", sa.BigInteger(), sa.Computed("external_id::bigint", persisted=True), nullable=False),
        sa.Column("cupid_id", sa.BigInteger(), nullable=True),
        sa.Column("hotel_name", sa.Text(), nullable=True),
        sa.Column("hotel_type", sa.Text(), nullable=True),
        sa.Column("hotel_type_id", sa.BigInteger(), nullable=True),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("chain_id", sa.BigInteger(), nullable=True),
        sa.Column("latitude", sa.Numeric(), nullable=True),
        sa.Column("longitude", sa.Numeric(), nullable=True),
        sa.Column("stars", sa.Numeric(), nullable=True),
        sa.Column("rating", sa.Numeric(), nullable=True),
        sa.Column("review_count", sa.BigInteger(), nullable=True),
        sa.Column("airport_code", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("fax", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("checkin", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("parking", sa.Text(), nullable=True),
        sa.Column("group_room_min", sa.BigInteger(), nullable=True),
        sa.Column("child_allowed", sa.Boolean(), nullable=True),
        sa.Column("pets_allowed", sa.Boolean(), nullable=True),
        sa.Column("main_image_th", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("markdown_description", sa.Text(), nullable=True),
        sa.Column("important_info", sa.Text(), nullable=True),
        sa.Column("photos", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("facilities", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("policies", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("rooms", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reviews", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("translations", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("extra", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("data_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("last_updated", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "last_synced", sa.DateTime(timezone=True), sa.Computed("last_synced_at", persisted=True), nullable=True
        ),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_properties")),
        sa.UniqueConstraint("organization_id", "external_id", name=op.f("uq_properties_organization_id_external_id")),
        sa.UniqueConstraint("property_id", name=op.f("uq_properties_property_id")),
    )
    op.create_index(
        "ix_properties_live",
        "properties",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    watch_row_hash("properties", [one.name for one in properties.columns if one.name not in NOT_THE_SOURCE_S])


def downgrade() -> None:
    for view in ("property_translations", "property_reviews", "sync_logs", "sync_settings"):
        op.execute(f"DROP VIEW {view}")
    op.execute("DROP FUNCTION show_duration(double precision)")
    op.drop_index("ix_properties_live", table_name="properties", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("properties")
    op.drop_table("sync_setting_values")
    op.drop_table("record_marks")
    op.drop_constraint(op.f("uq_sync_runs_id"), "sync_runs", type_="unique")
    op.drop_column("sync_runs", "id")
    op.drop_column("sync_runs", "undo_of")
    op.drop_constraint(op.f("ck_schedules_interval"), "schedules", type_="check")
    op.drop_index("ix_run_changes_external_id", table_name="run_changes")
