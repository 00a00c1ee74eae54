"""Cliniko, for each organization with a key of its own (contract, section 2; docs/cliniko.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from config.settings import Settings
from syncapp.connectors.cliniko import ClinikoKey, InTurn, OneByOne, listing, normalizer, read_key
from syncapp.connectors.cliniko.sources import filtered
from syncapp.connectors.rest import RestSource
from syncapp.credentials import load_secret
from syncapp.definition import Every, Mode, Policy, Reads, SourceContext, Stream, Sync
from syncapp.merge.table import Table
from syncapp.models import AppointmentType, Business, ClinikoAppointment, Patient, Practitioner
from syncapp.ports import RateLimit, Source

PROVIDER = "cliniko"
COMPREHENSIVE = ("businesses", "practitioners", "appointment_types", "patients", "appointments")
NAMED_PATIENTS = """
SELECT DISTINCT p.external_id FROM cliniko_appointments a JOIN patients p ON p.id = a.patient_id
WHERE a.organization_id = %(organization)s AND a.starts_at BETWEEN %(begin)s AND %(end)s"""

PATIENTS = Table.of(Patient, version="updated_at", says_removed=True)
PRACTITIONERS = Table.of(Practitioner, version="updated_at", says_removed=True)
APPOINTMENT_TYPES = Table.of(AppointmentType, version="updated_at", says_removed=True)
BUSINESSES = Table.of(Business, version="updated_at", says_removed=True)
APPOINTMENTS = Table.of(
    ClinikoAppointment,
    version="updated_at",
    says_removed=True,
    patient_id=PATIENTS,
    practitioner_id=PRACTITIONERS,
    business_id=BUSINESSES,
    appointment_type_id=APPOINTMENT_TYPES,
)


def _list(context: SourceContext, resource: str, *shown: str) -> RestSource:
    return listing(context.settings, _key(context), context.rate_limit, resource, shown=shown)


def _key(context: SourceContext) -> ClinikoKey:
    return read_key(load_secret(context.database, context.settings, context.organization_id, PROVIDER))


def _practitioners(context: SourceContext) -> Source:
    """Active and inactive ones stand in lists of their own."""
    return InTurn(_list(context, "practitioners"), _list(context, "practitioners/inactive"))


def _patients(context: SourceContext) -> Source:
    patients = _list(context, "patients", "archived_at")
    if context.mode != "active":
        return patients

    def named() -> list[str]:
        begin, end = _window(context)
        values = {"organization": context.organization_id, "begin": begin, "end": end}
        with context.database.connection() as connection:
            return [key for (key,) in connection.execute(NAMED_PATIENTS, values)]

    def find(ids: Sequence[str]) -> Source:
        return filtered(patients, context.rate_limit, f"id:={','.join(ids)}")

    return OneByOne(named, find)


def _appointments(context: SourceContext) -> Source:
    appointments = _list(context, "individual_appointments", "archived_at", "cancelled_at", "deleted_at")
    if context.mode != "active":
        return appointments
    begin, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in _window(context))
    return filtered(appointments, context.rate_limit, f"starts_at:>={begin}", f"starts_at:<={end}")


def _window(context: SourceContext) -> tuple[datetime, datetime]:
    now, settings = context.clock(), context.settings
    return now - timedelta(days=settings.active_days_back), now + timedelta(days=settings.active_days_ahead)


def _stream(
    name: str, title: str, table: Table, source: Callable[[SourceContext], Source], weight: float = 1.0
) -> Stream:
    return Stream(name, source, lambda _: normalizer(table), table, title=title, weight=weight)


def _every(settings: Settings) -> Every:
    return Every(interval=timedelta(minutes=settings.sync_interval_minutes), enabled=settings.enable_sync_scheduler)


CLINIKO = Sync(
    name="cliniko",
    title="Cliniko",
    source="Cliniko",
    destination="PostgreSQL: patients, cliniko_appointments, practitioners, appointment_types, businesses",
    streams=(
        _stream(
            "businesses", "Businesses", BUSINESSES, lambda of: _list(of, "businesses", "archived_at", "deleted_at")
        ),
        _stream("practitioners", "Practitioners", PRACTITIONERS, _practitioners),
        _stream(
            "appointment_types",
            "Appointment types",
            APPOINTMENT_TYPES,
            lambda of: _list(of, "appointment_types", "archived_at"),
        ),
        _stream("patients", "Patients", PATIENTS, _patients, weight=50),
        _stream("appointments", "Appointments", APPOINTMENTS, _appointments, weight=200),
    ),
    modes={
        "basic": Mode(("patients", "appointments")),
        "comprehensive": Mode(COMPREHENSIVE, Reads.EVERYTHING),
        "active": Mode(("appointments", "patients"), Reads.SELECTION),
        "patients-only": Mode(("patients",)),
    },
    every=_every,
    missing=lambda _: (),
    policy=Policy(full_refresh_interval=timedelta(days=7)),
    provider=PROVIDER,
    due_mode="comprehensive",
)


def ping(settings: Settings, rate_limit: RateLimit, key: ClinikoKey) -> float:
    """Asks Cliniko for one patient; the milliseconds that it took. Raises what a read would."""
    return listing(settings, key, rate_limit, "patients").ping()
