"""What may be asked. Every command commits before it returns; callers dispatch afterwards."""

from syncapp.commands.control import cancel_run, leave_to_sweep, replay_errors, retry_run
from syncapp.commands.organizations import NewOrganization, create_organization
from syncapp.commands.start import RunRequest, Triggered
from syncapp.commands.tokens import Caller, NewToken, create_token, find_caller, revoke_token
from syncapp.commands.trigger import Idempotency, Refused, trigger_run, trigger_runs
from syncapp.schedules import change_schedule

__all__ = [
    "Caller",
    "Idempotency",
    "NewOrganization",
    "NewToken",
    "Refused",
    "RunRequest",
    "Triggered",
    "cancel_run",
    "change_schedule",
    "create_organization",
    "create_token",
    "find_caller",
    "leave_to_sweep",
    "replay_errors",
    "retry_run",
    "revoke_token",
    "trigger_run",
    "trigger_runs",
]
