"""When syncs run by themselves (contract, section 6)."""

from __future__ import annotations

from typing import Any

from api.auth import admin_only
from api.context import actor, services
from api.openapi import Blueprint
from api.schemas import examples
from api.schemas.common import PageArgs
from api.schemas.syncs import ScheduleChangeSchema, ScheduleListSchema, ScheduleSchema
from syncapp import commands, queries

blueprint = Blueprint("schedules", __name__, url_prefix="/api/v1/schedules", description="When syncs run by themselves")


@blueprint.get("")
@blueprint.arguments(PageArgs(), location="query")
@blueprint.response(200, ScheduleListSchema, example=examples.SCHEDULES)
@admin_only
def list_schedules(page: dict[str, int]) -> queries.Listed:
    """The schedule of every sync"""
    parts = services()
    return queries.part_of(queries.list_schedules(parts.database, parts.settings), **page)


@blueprint.patch("/<name>")
@blueprint.arguments(ScheduleChangeSchema(), example={"cron": "*/30 * * * *", "enabled": True})
@blueprint.response(200, ScheduleSchema, example=examples.SCHEDULE)
@blueprint.alt_response(404, "NOT_FOUND")
@admin_only
def change_schedule(change: dict[str, Any], name: str) -> queries.ScheduleView:
    """Change a schedule; it takes effect without a restart"""
    parts = services()
    commands.change_schedule(parts.database, parts.settings, parts.clock, name, actor(), **change)
    return queries.get_schedule(parts.database, parts.settings, name)
