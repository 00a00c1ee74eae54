"""What may be asked. Every command commits before it returns; callers dispatch afterwards."""

from syncapp.commands.cleanup import clean_up
from syncapp.commands.control import cancel_run, leave_to_sweep, replay_errors, retry_run, undo_run
from syncapp.commands.credentials import (
    Connection,
    check_cliniko_key,
    remove_cliniko_key,
    rotate_credentials,
    store_cliniko_key,
)
from syncapp.commands.organizations import ORGANIZATION_ID, NewOrganization, change_organization, create_organization
from syncapp.commands.properties import (
    SETTING_KEYS,
    change_settings,
    complete_settings,
    start_properties,
    stop_properties,
)
from syncapp.commands.requests import RunRequest, Triggered
from syncapp.commands.tokens import Caller, NewToken, create_token, find_caller, revoke_token
from syncapp.commands.trigger import Idempotency, Refused, trigger_run, trigger_runs
from syncapp.schedules import change_schedule

__all__ = [
    "ORGANIZATION_ID",
    "SETTING_KEYS",
    "Caller",
    "Connection",
    "Idempotency",
    "NewOrganization",
    "NewToken",
    "Refused",
    "RunRequest",
    "Triggered",
    "cancel_run",
    "change_organization",
    "change_schedule",
    "change_settings",
    "check_cliniko_key",
    "clean_up",
    "complete_settings",
    "create_organization",
    "create_token",
    "find_caller",
    "leave_to_sweep",
    "remove_cliniko_key",
    "replay_errors",
    "retry_run",
    "revoke_token",
    "rotate_credentials",
    "start_properties",
    "stop_properties",
    "store_cliniko_key",
    "trigger_run",
    "trigger_runs",
    "undo_run",
]
