"""Organizations with credentials of their own, Cliniko's tables, the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from syncapp.migrations.operations import watch_row_hash

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HEAD_AND_TAIL = (
    *("id", "organization_id", "external_id"),
    *("last_synced_at", "sync_status", "sync_errors", "is_mock", "deleted_at", "row_hash"),
)


def upgrade() -> None:
    appointment_types = op.create_table(
        "appointment_types",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("color", sa.Text(), nullable=True),
        sa.Column("duration_in_minutes", sa.Integer(), nullable=True),
        sa.Column("max_attendees", sa.Integer(), nullable=True),
        sa.Column("show_in_online_bookings", sa.Boolean(), nullable=True),
        sa.Column("online_bookings_lead_time_hours", sa.Integer(), nullable=True),
        sa.Column("online_payments_enabled", sa.Boolean(), nullable=True),
        sa.Column("online_payments_mode", sa.Text(), nullable=True),
        sa.Column("deposit_price", sa.Text(), nullable=True),
        sa.Column("add_deposit_to_account_credit", sa.Boolean(), nullable=True),
        sa.Column("telehealth_enabled", sa.Boolean(), nullable=True),
        sa.Column("appointment_confirmation_template_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("appointment_reminder_template_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("billable_item_id", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("treatment_note_template_id", sa.Text(), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment_types")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_appointment_types_organization_id_external_id")
        ),
    )
    op.create_index(
        "ix_appointment_types_live",
        "appointment_types",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at", "id"], unique=False)
    op.create_index("ix_audit_log_organization_id", "audit_log", ["organization_id", "at", "id"], unique=False)
    businesses = op.create_table(
        "businesses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("business_name", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("business_registration_name", sa.Text(), nullable=True),
        sa.Column("business_registration_value", sa.Text(), nullable=True),
        sa.Column("address_1", sa.Text(), nullable=True),
        sa.Column("address_2", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("post_code", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("country_code", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("time_zone_identifier", sa.Text(), nullable=True),
        sa.Column("contact_information", sa.Text(), nullable=True),
        sa.Column("additional_information", sa.Text(), nullable=True),
        sa.Column("additional_invoice_information", sa.Text(), nullable=True),
        sa.Column("email_reply_to", sa.Text(), nullable=True),
        sa.Column("website_address", sa.Text(), nullable=True),
        sa.Column("appointment_reminders_enabled", sa.Boolean(), nullable=True),
        sa.Column("show_in_online_bookings", sa.Boolean(), nullable=True),
        sa.Column("appointment_type_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_businesses")),
        sa.UniqueConstraint("organization_id", "external_id", name=op.f("uq_businesses_organization_id_external_id")),
    )
    op.create_index(
        "ix_businesses_live",
        "businesses",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    patients = op.create_table(
        "patients",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("preferred_first_name", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("date_of_birth", sa.Date(), nullable=True),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("gender_identity", sa.Text(), nullable=True),
        sa.Column("pronouns", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("patient_phone_numbers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("address_1", sa.Text(), nullable=True),
        sa.Column("address_2", sa.Text(), nullable=True),
        sa.Column("address_3", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("post_code", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("country_code", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("occupation", sa.Text(), nullable=True),
        sa.Column("emergency_contact", sa.Text(), nullable=True),
        sa.Column("referral_source", sa.Text(), nullable=True),
        sa.Column("medicare", sa.Text(), nullable=True),
        sa.Column("medicare_reference_number", sa.Text(), nullable=True),
        sa.Column("dva_card_number", sa.Text(), nullable=True),
        sa.Column("old_reference_id", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("appointment_notes", sa.Text(), nullable=True),
        sa.Column("custom_fields", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reminder_type", sa.Text(), nullable=True),
        sa.Column("receives_confirmation_emails", sa.Boolean(), nullable=True),
        sa.Column("accepted_privacy_policy", sa.Boolean(), nullable=True),
        sa.Column("accepted_email_marketing", sa.Boolean(), nullable=True),
        sa.Column("accepted_sms_marketing", sa.Boolean(), nullable=True),
        sa.Column("invoice_default_to", sa.Text(), nullable=True),
        sa.Column("invoice_email", sa.Text(), nullable=True),
        sa.Column("invoice_extra_information", sa.Text(), nullable=True),
        sa.Column("concession_type_id", sa.Text(), nullable=True),
        sa.Column("latest_booking_id", sa.Text(), nullable=True),
        sa.Column("referring_doctor_id", sa.Text(), nullable=True),
        sa.Column("merged_with_patient_id", sa.Text(), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patients")),
        sa.UniqueConstraint("organization_id", "external_id", name=op.f("uq_patients_organization_id_external_id")),
    )
    op.create_index(
        "ix_patients_live",
        "patients",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    practitioners = op.create_table(
        "practitioners",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("designation", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("show_in_online_bookings", sa.Boolean(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("default_appointment_type_id", sa.Text(), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practitioners")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_practitioners_organization_id_external_id")
        ),
    )
    op.create_index(
        "ix_practitioners_live",
        "practitioners",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    cliniko_appointments = op.create_table(
        "cliniko_appointments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.BigInteger(), nullable=True),
        sa.Column("practitioner_id", sa.BigInteger(), nullable=True),
        sa.Column("business_id", sa.BigInteger(), nullable=True),
        sa.Column("appointment_type_id", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("patient_name", sa.Text(), nullable=True),
        sa.Column("patient_arrived", sa.Boolean(), nullable=True),
        sa.Column("did_not_arrive", sa.Boolean(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancellation_reason", sa.Integer(), nullable=True),
        sa.Column("cancellation_reason_description", sa.Text(), nullable=True),
        sa.Column("cancellation_note", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("has_patient_appointment_notes", sa.Boolean(), nullable=True),
        sa.Column("treatment_note_status", sa.Integer(), nullable=True),
        sa.Column("invoice_status", sa.Integer(), nullable=True),
        sa.Column("email_reminder_sent", sa.Boolean(), nullable=True),
        sa.Column("sms_reminder_sent", sa.Boolean(), nullable=True),
        sa.Column("booking_ip_address", sa.Text(), nullable=True),
        sa.Column("online_booking_policy_accepted", sa.Boolean(), nullable=True),
        sa.Column("telehealth_url", sa.Text(), nullable=True),
        sa.Column("repeat_rule", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("patient_case_id", sa.Text(), nullable=True),
        sa.Column("repeated_from_id", sa.Text(), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sync_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("sync_errors", sa.Text(), nullable=True),
        sa.Column("is_mock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("row_hash", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["appointment_type_id"],
            ["appointment_types.id"],
            name=op.f("fk_cliniko_appointments_appointment_type_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["business_id"], ["businesses.id"], name=op.f("fk_cliniko_appointments_business_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patients.id"], name=op.f("fk_cliniko_appointments_patient_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["practitioner_id"],
            ["practitioners.id"],
            name=op.f("fk_cliniko_appointments_practitioner_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cliniko_appointments")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("uq_cliniko_appointments_organization_id_external_id")
        ),
    )
    op.create_index(
        "ix_cliniko_appointments_live",
        "cliniko_appointments",
        ["organization_id", "sync_status"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_cliniko_appointments_patient_id", "cliniko_appointments", ["patient_id"], unique=False)
    op.create_index(
        "ix_cliniko_appointments_starts_at", "cliniko_appointments", ["organization_id", "starts_at"], unique=False
    )
    op.create_table(
        "credentials",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("valid", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_credentials_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "provider", name=op.f("pk_credentials")),
    )
    op.create_table(
        "organization_schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_organization_schedules_organization_id")
        ),
        sa.PrimaryKeyConstraint("name", "organization_id", name=op.f("pk_organization_schedules")),
    )
    for table in (appointment_types, businesses, patients, practitioners, cliniko_appointments):
        watch_row_hash(table.name, [column.name for column in table.columns if column.name not in HEAD_AND_TAIL])


def downgrade() -> None:
    op.drop_table("organization_schedules")
    op.drop_table("credentials")
    op.drop_index("ix_cliniko_appointments_starts_at", table_name="cliniko_appointments")
    op.drop_index("ix_cliniko_appointments_patient_id", table_name="cliniko_appointments")
    op.drop_index(
        "ix_cliniko_appointments_live",
        table_name="cliniko_appointments",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_table("cliniko_appointments")
    op.drop_index("ix_practitioners_live", table_name="practitioners", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("practitioners")
    op.drop_index("ix_patients_live", table_name="patients", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("patients")
    op.drop_index("ix_businesses_live", table_name="businesses", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("businesses")
    op.drop_index("ix_audit_log_organization_id", table_name="audit_log")
    op.drop_index("ix_audit_log_at", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_index(
        "ix_appointment_types_live", table_name="appointment_types", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_table("appointment_types")
