"""Every table of the product. A new module is imported here, so that migrations see it."""

from syncapp.models.base import Base, OfOrganization, Synced, Versioned
from syncapp.models.cliniko import AppointmentType, Business, ClinikoAppointment, Patient, Practitioner
from syncapp.models.organizations import AuditEntry, Credential, Organization, Token
from syncapp.models.properties import Property
from syncapp.models.runs import (
    Circuit,
    DeadLetter,
    IdempotencyKey,
    RecordMark,
    Run,
    RunChange,
    RunEvent,
    RunKeys,
    StreamState,
)
from syncapp.models.schedules import OrganizationSchedule, Process, Schedule, SettingValue
from syncapp.models.wellness import Appointment, Client

__all__ = [
    "Appointment",
    "AppointmentType",
    "AuditEntry",
    "Base",
    "Business",
    "Circuit",
    "Client",
    "ClinikoAppointment",
    "Credential",
    "DeadLetter",
    "IdempotencyKey",
    "OfOrganization",
    "Organization",
    "OrganizationSchedule",
    "Patient",
    "Practitioner",
    "Process",
    "Property",
    "RecordMark",
    "Run",
    "RunChange",
    "RunEvent",
    "RunKeys",
    "Schedule",
    "SettingValue",
    "StreamState",
    "Synced",
    "Token",
    "Versioned",
]
