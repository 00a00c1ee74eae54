"""What may be seen. Every query is bound to a scope, reads in few statements, and changes nothing."""

from syncapp.queries.events import EventPage, NumberedEvent, Place, RunNow, find_place, read_events
from syncapp.queries.organizations import (
    OrganizationView,
    TokenView,
    check_organization,
    get_organization,
    is_active,
    list_organizations,
    list_tokens,
)
from syncapp.queries.paging import Listed, part_of
from syncapp.queries.progress import RunProgress, get_progress
from syncapp.queries.readiness import Health, Readiness, health, readiness
from syncapp.queries.runs import (
    RunError,
    RunFilter,
    RunPage,
    RunView,
    get_run,
    list_changes,
    list_errors,
    list_runs,
)
from syncapp.queries.syncs import Freshness, ScheduleView, SyncView, get_schedule, list_schedules, list_syncs
from syncapp.queries.wellness import ResourceStatus, WellnessStatus, count_rows, wellness_status

__all__ = [
    "EventPage",
    "Freshness",
    "Health",
    "Listed",
    "NumberedEvent",
    "OrganizationView",
    "Place",
    "Readiness",
    "ResourceStatus",
    "RunError",
    "RunFilter",
    "RunNow",
    "RunPage",
    "RunProgress",
    "RunView",
    "ScheduleView",
    "SyncView",
    "TokenView",
    "WellnessStatus",
    "check_organization",
    "count_rows",
    "find_place",
    "get_organization",
    "get_progress",
    "get_run",
    "get_schedule",
    "health",
    "is_active",
    "list_changes",
    "list_errors",
    "list_organizations",
    "list_runs",
    "list_schedules",
    "list_syncs",
    "list_tokens",
    "part_of",
    "read_events",
    "readiness",
    "wellness_status",
]
