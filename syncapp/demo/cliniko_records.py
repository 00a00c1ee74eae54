"""Generated accounts for the stand-in for Cliniko: the same seed on the same day, the same data."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mimesis import Address, Locale, Person

from syncapp.demo.cliniko_account import timestamp
from syncapp.demo.cliniko_clinic import clinic, identifier, midnight
from syncapp.demo.cliniko_shapes import APPOINTMENTS, PATIENTS, REASONS, Record
from syncapp.demo.faults import Records

PHONES = ("Mobile", "Home", "Work", "Fax", "Other")
PRONOUNS = {
    "nominative": "they",
    "accusative": "them",
    "pronominal_possessive": "their",
    "predicative_possessive": "theirs",
    "reflexive": "themself",
}


def state_of(number: int) -> str:
    """What has become of the patient of that number: live, archived, merged or deleted."""
    for state, every, rest in (("deleted", 40, 3), ("merged", 25, 7), ("archived", 20, 0)):
        if number % every == rest:
            return state
    return "live"


def make_records(
    seed: int = 1, *, patients: int = 300, appointments: int = 1200, now: datetime | None = None
) -> Records:
    """An account's records, as `ClinikoServer` takes them. Ids depend on no seed, so accounts share them.

    now  what divides past and future; the last midnight (UTC) where it is not given
    """
    return Practice(seed, now or midnight()).records(patients, appointments)


class Practice:
    """Makes the records of an account around `now`."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.random = random.Random(seed)
        self.now = now.replace(microsecond=0)
        person, address = Person(Locale.EN_AU, seed=seed), Address(Locale.EN_AU, seed=seed)
        self.first_names = [person.first_name() for _ in range(200)]
        self.last_names = [person.last_name() for _ in range(400)]
        self.jobs = [person.occupation() for _ in range(50)]
        self.streets = [address.address() for _ in range(200)]
        self.towns = [
            {"city": address.city(), "state": address.state(), "post_code": address.postal_code()} for _ in range(50)
        ]
        self.clinic = clinic(list(zip(self.first_names[:8], self.last_names[:8], strict=True)), self.now)

    def records(self, patients: int, appointments: int) -> Records:
        created = sorted(self._earlier(self.now, 700) for _ in range(patients))
        people = [self.patient(number, time) for number, time in enumerate(created, 1)]
        known = [person for number, person in enumerate(people, 1) if state_of(number) in {"live", "archived"}]
        bookings = sorted(self._booking() for _ in range(appointments)) if known else []
        visits = [
            self.appointment(number, made, starts, self.random.choice(known))
            for number, (made, starts) in enumerate(bookings, 1)
        ]
        for number, person in enumerate(people, 1):
            _leave(number, person)
        for number, visit in enumerate(visits, 1):
            self._end(number, visit)
        return {"patients": people, "individual_appointments": visits, **self.clinic}

    def patient(self, number: int, created: datetime) -> Record:
        """A live one."""
        first, last = self.random.choice(self.first_names), self.random.choice(self.last_names)
        address = f"{first}.{last}{number}@example.com".lower().replace(" ", "")
        return {
            **dict.fromkeys(PATIENTS.fields),
            **self._dates(created),
            **self._person(),
            **self.random.choice(self.towns),
            "id": identifier("patients", number),
            "first_name": first,
            "last_name": last,
            "preferred_first_name": self._maybe(0.1, lambda: first[:3]),
            "email": self._maybe(0.9, lambda: address),
            "old_reference_id": self._maybe(0.2, lambda: f"P-{number:06}"),
            "address_1": self.random.choice(self.streets),
            "country": "Australia",
            "country_code": "AU",
            "patient_phone_numbers": [self.phone() for _ in range(self.random.choice((0, 1, 1, 2)))],
            "custom_fields": self._custom_fields() if number % 5 == 0 else None,
        }

    def appointment(self, number: int, created: datetime, starts: datetime, patient: Record) -> Record:
        """One that was neither cancelled nor deleted; it becomes the patient's latest."""
        choice, past = self.random.choice, starts < self.now
        came = past and self.random.random() < 0.9
        kind = choice(self.clinic["appointment_types"])
        patient["latest_booking_id"] = identifier("individual_appointments", number)
        return {
            **dict.fromkeys(APPOINTMENTS.fields),
            **self._dates(created),
            "id": patient["latest_booking_id"],
            "patient_id": patient["id"],
            "patient_name": f"{patient['first_name']} {patient['last_name']}",
            "appointment_type_id": kind["id"],
            "business_id": choice(self.clinic["businesses"])["id"],
            "practitioner_id": choice(self.clinic["practitioners"])["id"],
            "starts_at": timestamp(starts),
            "ends_at": timestamp(starts + timedelta(minutes=kind["duration_in_minutes"])),
            "patient_arrived": came,
            "did_not_arrive": past and not came,
            "email_reminder_sent": past,
            "sms_reminder_sent": False,
            "has_patient_appointment_notes": False,
            "notes": self._maybe(0.2, lambda: "Bring the referral"),
            "invoice_status": choice((10, 20)) if came else None,
            "treatment_note_status": choice((10, 90)) if came else None,
        }

    def phone(self) -> Record:
        digits = f"{self.random.randrange(10**8):08}"
        return {
            "number": f"04{digits[:2]} {digits[2:5]} {digits[5:]}",
            "normalized_number": f"614{digits}",
            "phone_type": self.random.choice(PHONES),
        }

    def _earlier(self, than: datetime, days: int) -> datetime:
        return than - timedelta(seconds=self.random.randrange(60, days * 86_400))

    def _maybe(self, chance: float, make: Callable[[], Any]) -> Any:
        return make() if self.random.random() < chance else None

    def _booking(self) -> tuple[datetime, datetime]:
        """When an appointment was made and when it begins: nine in ten within 60 days of now, one up to 400 away."""
        days = 60 if self.random.random() < 0.9 else 400
        quarters = self.random.randrange(-days * 96, days * 96)
        starts = self.now.replace(minute=0, second=0) + timedelta(minutes=15 * quarters)
        return self._earlier(min(starts, self.now), 60), starts

    def _dates(self, created: datetime) -> Record:
        passed = int((self.now - created).total_seconds())
        updated = created + timedelta(seconds=self.random.randrange(passed + 1))
        return {"created_at": timestamp(created), "updated_at": timestamp(updated)}

    def _person(self) -> Record:
        choice = self.random.choice
        return {
            "title": choice(("Mr", "Ms", "Mrs", "Dr", None)),
            "date_of_birth": self._maybe(0.9, lambda: f"{self._earlier(self.now, 30_000):%Y-%m-%d}"),
            "sex": choice(("Female", "Male", "Intersex", None)),
            "gender_identity": self._maybe(0.2, lambda: choice(("Woman", "Man", "Non-binary"))),
            "pronouns": self._maybe(0.1, lambda: dict(PRONOUNS)),
            "occupation": self._maybe(0.4, lambda: choice(self.jobs)),
            "medicare": self._maybe(0.4, lambda: str(self.random.randrange(2_000_000_000, 7_000_000_000))),
            "medicare_reference_number": self._maybe(0.4, lambda: str(self.random.randrange(1, 10))),
            "time_zone": self._maybe(0.3, lambda: "Australia/Melbourne"),
            "reminder_type": choice(("None", "SMS", "Email", "SMS & Email")),
            "receives_confirmation_emails": choice((True, True, False)),
            "accepted_email_marketing": choice((True, False, None)),
            "accepted_sms_marketing": choice((True, False, None)),
            "accepted_privacy_policy": choice((True, None)),
            "referring_doctor_id": self._maybe(0.1, lambda: str(self.random.randrange(1, 50))),
            "notes": self._maybe(0.2, lambda: "Prefers mornings"),
        }

    def _custom_fields(self) -> Record:
        def named(name: str, **more: Any) -> Record:
            token = uuid.UUID(int=self.random.getrandbits(128), version=4)
            return {"name": name, "token": str(token), "archived": False, **more}

        options = [named(name, selected=self.random.random() < 0.5) for name in ("Swimming", "Running")]
        other = {"enabled": True, "archived": False, "selected": False, "value": ""}
        sports = named("Sports", type="checkboxes", options=options, other=other)
        size = named("Shoe size", type="text", value=str(self.random.randrange(36, 47)))
        return {"sections": [named("Habits", fields=[size, sports])]}

    def _end(self, number: int, visit: Record) -> None:
        """One in ten was cancelled, one in 25 deleted, one in 40 archived; some repeat."""
        if number % 30 == 0:
            visit["repeat_rule"] = {"number_of_repeats": 4, "repeat_type": "Weekly", "repeating_interval": 1}
        elif number % 30 == 1 and number > 1:
            visit["repeated_from_id"] = identifier("individual_appointments", number - 1)
        if number % 10 == 0:
            visit |= {"cancelled_at": visit["updated_at"], "cancellation_reason": self.random.choice(list(REASONS))}
            visit["cancellation_note"] = self._maybe(0.5, lambda: "Will call again")
        for mark, every, rest in (("deleted_at", 25, 0), ("archived_at", 40, 7)):
            if number % every == rest:
                visit[mark] = visit["updated_at"]


def _leave(number: int, person: Record) -> None:
    """Makes of a live patient what `state_of` says; a merged one went into the nearest live one before."""
    state = state_of(number)
    if state == "deleted":
        person["deleted_at"] = person["updated_at"]
    elif state != "live":
        person["archived_at"] = person["updated_at"]
    if state == "merged":
        kept = next(other for other in range(number - 1, 0, -1) if state_of(other) == "live")
        person |= {"merged_at": person["updated_at"], "merged_with_patient_id": identifier("patients", kept)}
