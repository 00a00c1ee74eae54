"""What the stand-in for Cliniko holds: the fields, links, filters and marks of each resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

REASONS = {
    10: "Feeling Better",
    20: "Condition Worse",
    30: "Sick",
    31: "COVID-19 related",
    40: "Away",
    50: "Other",
    60: "Work",
}
TIMES = {"created_at": "time", "updated_at": "time"}
NAMES = {"email": "text", "first_name": "text", "last_name": "text", "preferred_first_name": "text"}


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def link(url: str) -> Record:
    return {"links": {"self": url}}


def _nothing(_record: Record, _root: str) -> Record:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind of record. Records are kept flat: the reference `patient` stands in one as `patient_id`.

    fields   what is sent as it stands, null where a record lacks it
    targets  references by name, with the resource that they point into
    below    fields that link to something under the record
    hidden   marks that keep a record out of sight while they are set
    filters  the columns that can be asked for, with the kind of their values
    derive   makes the fields that follow from others, of a record and the address of /v1
    """

    name: str
    fields: tuple[str, ...]
    filters: Mapping[str, str]
    hidden: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    below: tuple[str, ...] = ()
    derive: Callable[[Record, str], Record] = _nothing

    def show(self, record: Record, root: str) -> Record:
        """The record as the API sends it; `root` is the address of /v1."""
        own = f"{root}/{self.name}/{record['id']}"
        kept = {f"{name}_id" for name in self.targets}
        shown: Record = dict.fromkeys(self.fields)
        shown |= {name: value for name, value in record.items() if name not in kept}
        for name, place in self.targets.items():
            target = record.get(f"{name}_id")
            shown[name] = None if target is None else link(f"{root}/{place}/{target}")
        for name in self.below:
            shown[name] = link(f"{own}/{name}")
        return {**shown, **self.derive(record, root), "links": {"self": own}}


def _patient(record: Record, _root: str) -> Record:
    return {"label": f"{record.get('first_name') or ''} {record.get('last_name') or ''}".strip()}


def _appointment(record: Record, root: str) -> Record:
    repeats = f"{root}/individual_appointments?q[]=repeated_from_id:={record['id']}"
    return {
        "cancellation_reason_description": REASONS.get(record.get("cancellation_reason") or 0),
        "repeats": link(repeats) if record.get("repeat_rule") else None,
    }


def _practitioner(record: Record, _root: str) -> Record:
    names = [record.get(name) for name in ("title", "first_name", "last_name")]
    label = " ".join(name for name in names if name)
    return {"label": label, "display_name": label}


def _business(record: Record, _root: str) -> Record:
    return {"label": record.get("display_name") or record.get("business_name")}


PATIENTS = Resource(
    "patients",
    fields=words(
        """accepted_email_marketing accepted_privacy_policy accepted_sms_marketing address_1 address_2 address_3
        appointment_notes archived_at city country country_code created_at custom_fields date_of_birth deleted_at
        dva_card_number email emergency_contact first_name gender gender_identity id invoice_default_to invoice_email
        invoice_extra_information last_name medicare medicare_reference_number merged_at notes occupation
        old_reference_id patient_phone_numbers post_code preferred_first_name pronouns receives_confirmation_emails
        referral_source reminder_type sex state time_zone title updated_at"""
    ),
    # No deleted_at: a deleted patient is never seen again.
    filters={"id": "number", "archived_at": "time", "date_of_birth": "date", "old_reference_id": "text"}
    | TIMES
    | NAMES,
    hidden=("archived_at", "deleted_at"),
    targets={
        "concession_type": "concession_types",
        "latest_booking": "bookings",
        "merged_with_patient": "patients",
        "referring_doctor": "contacts",
    },
    below=("appointments", "attendees", "invoices", "medical_alerts", "patient_attachments"),
    derive=_patient,
)
APPOINTMENTS = Resource(
    "individual_appointments",
    fields=words(
        """archived_at booking_ip_address cancellation_note cancellation_reason cancelled_at created_at deleted_at
        did_not_arrive email_reminder_sent ends_at has_patient_appointment_notes id invoice_status notes
        online_booking_policy_accepted patient_arrived patient_name repeat_rule sms_reminder_sent starts_at
        telehealth_url treatment_note_status updated_at"""
    ),
    filters=dict.fromkeys(
        ("id", "appointment_type_id", "business_id", "patient_id", "practitioner_id", "repeated_from_id"), "number"
    )
    | dict.fromkeys(("archived_at", "cancelled_at", "deleted_at", "ends_at", "starts_at"), "time")
    | TIMES,
    hidden=("archived_at", "deleted_at", "cancelled_at"),
    targets={
        "appointment_type": "appointment_types",
        "business": "businesses",
        "patient": "patients",
        "patient_case": "patient_cases",
        "practitioner": "practitioners",
        "repeated_from": "individual_appointments",
    },
    below=("attendees", "conflicts"),
    derive=_appointment,
)
APPOINTMENT_TYPES = Resource(
    "appointment_types",
    fields=words(
        """add_deposit_to_account_credit appointment_confirmation_template_ids appointment_reminder_template_ids
        archived_at category color created_at deposit_price description duration_in_minutes id max_attendees name
        online_bookings_lead_time_hours online_payments_enabled online_payments_mode show_in_online_bookings
        telehealth_enabled updated_at"""
    ),
    filters={
        "id": "number",
        "archived_at": "time",
        "category": "text",
        "online_payments_mode": "text",
        "show_in_online_bookings": "flag",
        "appointment_confirmation_template_ids": "array",
        "appointment_reminder_template_ids": "array",
    }
    | TIMES,
    hidden=("archived_at",),
    targets={
        "billable_item": "billable_items",
        "product": "products",
        "treatment_note_template": "treatment_note_templates",
    },
    below=("practitioners",),
)
PRACTITIONERS = Resource(
    "practitioners",
    fields=words(
        """active created_at description designation first_name id last_name show_in_online_bookings title
        updated_at"""
    ),
    filters={"id": "number", "user_id": "number", "show_in_online_bookings": "flag"} | TIMES,
    targets={"default_appointment_type": "appointment_types", "user": "users"},
    below=("appointment_types", "appointments", "invoices", "practitioner_reference_numbers"),
    derive=_practitioner,
)
BUSINESSES = Resource(
    "businesses",
    fields=words(
        """additional_information additional_invoice_information address_1 address_2 appointment_reminders_enabled
        appointment_type_ids archived_at business_name business_registration_name business_registration_value city
        contact_information country country_code created_at deleted_at display_name email_reply_to id post_code
        show_in_online_bookings state time_zone time_zone_identifier updated_at website_address"""
    ),
    filters={
        "id": "number",
        "archived_at": "time",
        "deleted_at": "time",
        "appointment_type_ids": "array",
        "show_in_online_bookings": "flag",
    }
    | TIMES,
    hidden=("archived_at", "deleted_at"),
    below=("appointments", "practitioners"),
    derive=_business,
)
USERS = Resource(
    "users",
    fields=words(
        """active created_at email first_name id last_name phone_numbers role time_zone time_zone_identifier title
        updated_at user_active"""
    ),
    filters={"id": "number"} | TIMES,
)
RESOURCES: Mapping[str, Resource] = {
    resource.name: resource
    for resource in (PATIENTS, APPOINTMENTS, APPOINTMENT_TYPES, PRACTITIONERS, BUSINESSES, USERS)
}
