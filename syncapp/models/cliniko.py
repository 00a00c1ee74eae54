"""The tables of the Cliniko sync: the vendor's fields under the vendor's names, references as foreign keys.

`archived_at`, `deleted_at`, `cancelled_at` and `merged_at` are Cliniko's own. A row that a complete read did not bring
any more gets `deleted_at` from us.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from syncapp.models.base import Base, Synced
from syncapp.records import Json


def _indexes(table: str) -> tuple[SchemaItem, ...]:
    """What every table that a sync fills is looked up by."""
    live = text("deleted_at IS NULL")
    return (
        UniqueConstraint("organization_id", "external_id"),
        Index(f"ix_{table}_live", "organization_id", "sync_status", postgresql_where=live),
    )


class OfCliniko(Synced):
    """The vendor's own times, which all of its records have."""

    archived_at: Mapped[datetime | None] = mapped_column(sort_order=80)
    created_at: Mapped[datetime | None] = mapped_column(sort_order=80)
    updated_at: Mapped[datetime | None] = mapped_column(sort_order=80)


class Patient(OfCliniko, Base):
    __tablename__ = "patients"
    __table_args__ = _indexes("patients")

    title: Mapped[str | None]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    preferred_first_name: Mapped[str | None]
    label: Mapped[str | None]
    email: Mapped[str | None]
    date_of_birth: Mapped[date | None]
    sex: Mapped[str | None]
    gender: Mapped[str | None]
    gender_identity: Mapped[str | None]
    pronouns: Mapped[Json | None]
    patient_phone_numbers: Mapped[Json | None]
    address_1: Mapped[str | None]
    address_2: Mapped[str | None]
    address_3: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    post_code: Mapped[str | None]
    country: Mapped[str | None]
    country_code: Mapped[str | None]
    time_zone: Mapped[str | None]
    occupation: Mapped[str | None]
    emergency_contact: Mapped[str | None]
    referral_source: Mapped[str | None]
    medicare: Mapped[str | None]
    medicare_reference_number: Mapped[str | None]
    dva_card_number: Mapped[str | None]
    old_reference_id: Mapped[str | None]
    notes: Mapped[str | None]
    appointment_notes: Mapped[str | None]
    custom_fields: Mapped[Json | None]
    reminder_type: Mapped[str | None]
    receives_confirmation_emails: Mapped[bool | None]
    accepted_privacy_policy: Mapped[bool | None]
    accepted_email_marketing: Mapped[bool | None]
    accepted_sms_marketing: Mapped[bool | None]
    invoice_default_to: Mapped[str | None]
    invoice_email: Mapped[str | None]
    invoice_extra_information: Mapped[str | None]
    concession_type_id: Mapped[str | None]
    latest_booking_id: Mapped[str | None]
    referring_doctor_id: Mapped[str | None]
    merged_with_patient_id: Mapped[str | None]
    merged_at: Mapped[datetime | None]


class Practitioner(OfCliniko, Base):
    __tablename__ = "practitioners"
    __table_args__ = _indexes("practitioners")

    title: Mapped[str | None]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    display_name: Mapped[str | None]
    label: Mapped[str | None]
    designation: Mapped[str | None]
    description: Mapped[str | None]
    active: Mapped[bool | None]
    show_in_online_bookings: Mapped[bool | None]
    user_id: Mapped[str | None]
    default_appointment_type_id: Mapped[str | None]


class AppointmentType(OfCliniko, Base):
    __tablename__ = "appointment_types"
    __table_args__ = _indexes("appointment_types")

    name: Mapped[str | None]
    category: Mapped[str | None]
    description: Mapped[str | None]
    color: Mapped[str | None]
    duration_in_minutes: Mapped[int | None]
    max_attendees: Mapped[int | None]
    show_in_online_bookings: Mapped[bool | None]
    online_bookings_lead_time_hours: Mapped[int | None]
    online_payments_enabled: Mapped[bool | None]
    online_payments_mode: Mapped[str | None]
    deposit_price: Mapped[str | None]
    add_deposit_to_account_credit: Mapped[bool | None]
    telehealth_enabled: Mapped[bool | None]
    appointment_confirmation_template_ids: Mapped[Json | None]
    appointment_reminder_template_ids: Mapped[Json | None]
    billable_item_id: Mapped[str | None]
    product_id: Mapped[str | None]
    treatment_note_template_id: Mapped[str | None]


class Business(OfCliniko, Base):
    __tablename__ = "businesses"
    __table_args__ = _indexes("businesses")

    business_name: Mapped[str | None]
    display_name: Mapped[str | None]
    label: Mapped[str | None]
    business_registration_name: Mapped[str | None]
    business_registration_value: Mapped[str | None]
    address_1: Mapped[str | None]
    address_2: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    post_code: Mapped[str | None]
    country: Mapped[str | None]
    country_code: Mapped[str | None]
    time_zone: Mapped[str | None]
    time_zone_identifier: Mapped[str | None]
    contact_information: Mapped[str | None]
    additional_information: Mapped[str | None]
    additional_invoice_information: Mapped[str | None]
    email_reply_to: Mapped[str | None]
    website_address: Mapped[str | None]
    appointment_reminders_enabled: Mapped[bool | None]
    show_in_online_bookings: Mapped[bool | None]
    appointment_type_ids: Mapped[Json | None]


class ClinikoAppointment(OfCliniko, Base):
    __tablename__ = "cliniko_appointments"
    __table_args__ = (
        *_indexes("cliniko_appointments"),
        Index("ix_cliniko_appointments_starts_at", "organization_id", "starts_at"),
        Index("ix_cliniko_appointments_patient_id", "patient_id"),
    )

    patient_id: Mapped[int | None] = mapped_column(ForeignKey("patients.id", ondelete="SET NULL"))
    practitioner_id: Mapped[int | None] = mapped_column(ForeignKey("practitioners.id", ondelete="SET NULL"))
    business_id: Mapped[int | None] = mapped_column(ForeignKey("businesses.id", ondelete="SET NULL"))
    appointment_type_id: Mapped[int | None] = mapped_column(ForeignKey("appointment_types.id", ondelete="SET NULL"))
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    patient_name: Mapped[str | None]
    patient_arrived: Mapped[bool | None]
    did_not_arrive: Mapped[bool | None]
    cancelled_at: Mapped[datetime | None]
    cancellation_reason: Mapped[int | None]
    cancellation_reason_description: Mapped[str | None]
    cancellation_note: Mapped[str | None]
    notes: Mapped[str | None]
    has_patient_appointment_notes: Mapped[bool | None]
    treatment_note_status: Mapped[int | None]
    invoice_status: Mapped[int | None]
    email_reminder_sent: Mapped[bool | None]
    sms_reminder_sent: Mapped[bool | None]
    booking_ip_address: Mapped[str | None]
    online_booking_policy_accepted: Mapped[bool | None]
    telehealth_url: Mapped[str | None]
    repeat_rule: Mapped[Json | None]
    patient_case_id: Mapped[str | None]
    repeated_from_id: Mapped[str | None]
