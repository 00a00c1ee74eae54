"""Every table of the product. A new module is imported here, so that migrations see it."""

from syncapp.models.base import Base, OfOrganization, Synced
from syncapp.models.organizations import Organization, Token
from syncapp.models.runs import Circuit, DeadLetter, IdempotencyKey, Run, RunChange, RunEvent, RunKeys, StreamState
from syncapp.models.schedules import Process, Schedule
from syncapp.models.wellness import Appointment, Client

__all__ = [
    "Appointment",
    "Base",
    "Circuit",
    "Client",
    "DeadLetter",
    "IdempotencyKey",
    "OfOrganization",
    "Organization",
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
