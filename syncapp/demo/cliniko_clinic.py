"""What an account of the stand-in for Cliniko holds but for patients and appointments: staff, places, treatments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from syncapp.demo.cliniko_account import timestamp
from syncapp.demo.cliniko_shapes import APPOINTMENT_TYPES, BUSINESSES, PRACTITIONERS, USERS, Record
from syncapp.demo.faults import Records

FIRST_IDS = {
    "patients": 514810976034364376,
    "individual_appointments": 1314810976034364377,
    "appointment_types": 514810972972521901,
    "practitioners": 514810972972521916,
    "businesses": 514810972972521801,
}
# Name, minutes, category.
TREATMENTS = (
    ("Initial consultation", 60, "Physiotherapy"),
    ("Standard consultation", 30, "Physiotherapy"),
    ("Massage", 45, "Massage"),
    ("Acupuncture", 45, None),
    ("Telehealth", 20, "Online"),
    ("Last year's offer", 30, None),
)
# Name, town, state, post code.
PLACES = (
    ("City Clinic", "Melbourne", "VIC", "3000"),
    ("Harbour Clinic", "Sydney", "NSW", "2000"),
    ("Old Mill Clinic", "Hobart", "TAS", "7000"),
    ("Pop-up Clinic", "Perth", "WA", "6000"),
)
DESIGNATIONS = ("Physiotherapist", "Osteopath", "Massage therapist", "Acupuncturist")


def midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def identifier(resource: str, number: int) -> str:
    """The first two ids are short, as in old accounts; the others exceed what a double holds exactly."""
    return str(number) if number <= 2 else str(FIRST_IDS[resource] + number * 4099)


def clinic(names: Sequence[tuple[str, str]], now: datetime) -> Records:
    """Practitioners with those names, the last two inactive; types, the last archived; businesses, one archived and
    one deleted; the user of the key."""
    created, changed = timestamp(now - timedelta(days=800)), timestamp(now - timedelta(days=100))
    dates = {"created_at": created, "updated_at": changed}
    types = [_appointment_type(number) | dates for number in range(1, len(TREATMENTS) + 1)]
    businesses = [_business(number, types) | dates for number in range(1, len(PLACES) + 1)]
    types[-1]["archived_at"] = businesses[-2]["archived_at"] = businesses[-1]["deleted_at"] = changed
    last = len(names) - 2
    practitioners = [
        _practitioner(number, *name, active=number <= last) | dates for number, name in enumerate(names, 1)
    ]
    return {
        "appointment_types": types,
        "businesses": businesses,
        "practitioners": practitioners,
        "users": [_user() | dates],
    }


def _appointment_type(number: int) -> Record:
    name, minutes, category = TREATMENTS[number - 1]
    return {
        **dict.fromkeys(APPOINTMENT_TYPES.fields),
        "id": identifier("appointment_types", number),
        "name": name,
        "category": category,
        "color": f"#{number * 0x1A2B3C % 0x1000000:06x}",
        "duration_in_minutes": minutes,
        "max_attendees": 1,
        "deposit_price": "20.0" if number == 1 else None,
        "online_payments_enabled": number == 1,
        "online_payments_mode": "deposit_required" if number == 1 else None,
        "online_bookings_lead_time_hours": 24,
        "show_in_online_bookings": number != len(TREATMENTS),
        "telehealth_enabled": category == "Online",
        "add_deposit_to_account_credit": False,
        "appointment_confirmation_template_ids": [str(number + 10)],
        "appointment_reminder_template_ids": [],
        "billable_item_id": str(number + 100),
    }


def _business(number: int, types: Sequence[Record]) -> Record:
    name, city, state, post_code = PLACES[number - 1]
    return {
        **dict.fromkeys(BUSINESSES.fields),
        "id": identifier("businesses", number),
        "business_name": f"{name} Pty Ltd",
        "display_name": name,
        "business_registration_name": "ABN",
        "business_registration_value": f"5182475355{number}",
        "address_1": f"{number} Station Street",
        "city": city,
        "state": state,
        "post_code": post_code,
        "country": "Australia",
        "country_code": "AU",
        "time_zone": city,
        "time_zone_identifier": f"Australia/{city}",
        "contact_information": f"Phone 03 9000 000{number}",
        "email_reply_to": f"desk{number}@example.com",
        "website_address": "https://clinic.example.com",
        "appointment_reminders_enabled": True,
        "show_in_online_bookings": True,
        "appointment_type_ids": [kind["id"] for kind in types],
    }


def _practitioner(number: int, first_name: str, last_name: str, *, active: bool) -> Record:
    return {
        **dict.fromkeys(PRACTITIONERS.fields),
        "id": identifier("practitioners", number),
        "first_name": first_name,
        "last_name": last_name,
        "title": "Dr" if number % 2 else None,
        "designation": DESIGNATIONS[number % len(DESIGNATIONS)],
        "active": active,
        "show_in_online_bookings": active,
        "user_id": str(number),
        "default_appointment_type_id": identifier("appointment_types", 2),
    }


def _user() -> Record:
    return {
        **dict.fromkeys(USERS.fields),
        "id": "1",
        "first_name": "Robin",
        "last_name": "Desk",
        "email": "robin@example.com",
        "role": "administrator",
        "active": True,
        "user_active": True,
        "phone_numbers": [],
        "time_zone": "Melbourne",
        "time_zone_identifier": "Australia/Melbourne",
    }
