"""Every table of the product. A new module is imported here, so that migrations see it."""

from syncapp.models.base import Base, OfOrganization, Synced
from syncapp.models.cliniko import AppointmentType, Business, ClinikoAppointment, Patient, Practitioner
from syncapp.models.organizations import AuditEntry, Credential, Organization, Token
from syncapp.models.runs import Circuit, DeadLetter, IdempotencyKey, Run, RunChange, RunEvent, RunKeys, StreamState
from syncapp.models.schedules import OrganizationSchedule, Process, Schedule
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
    "Run",
    "RunChange",
    "RunEvent",
    "RunKeys",
    "Schedule",
    "StreamState",
    "Synced",
    "Token",
]
