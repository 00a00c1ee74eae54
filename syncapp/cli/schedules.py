"""When syncs run by themselves."""

from __future__ import annotations

import click

from syncapp.cli.context import connect, json_option
from syncapp.cli.output import emit, plain, seconds_text, show_table
from syncapp.commands import change_schedule
from syncapp.engine.runtime import utc_now
from syncapp.queries import ScheduleView, get_schedule, list_schedules, part_of

COLUMNS = ("NAME", "WHEN", "TIMEZONE", "ENABLED", "NEXT RUN", "LAST RUN", "QUEUE")


@click.group("schedules", invoke_without_command=True)
@json_option
@click.pass_context
def schedules(context: click.Context) -> None:
    """List when syncs run by themselves, or change it."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@schedules.command("list")
@json_option
def show_all() -> None:
    """List the schedule of every sync."""
    app = connect()
    found = list_schedules(app.database, app.settings)
    emit(part_of(found, limit=len(found)), lambda: _show(found))


@schedules.command("set")
@click.argument("name")
@click.option("--cron", help='A cron line of five fields, such as "*/30 * * * *".')
@click.option("--interval", help="Seconds, or a duration such as 30m or 2h30m; in place of a cron line.")
@click.option("--timezone", help="The time zone in which the cron line is read, such as Europe/Berlin.")
@click.option("--enable/--disable", "enabled", default=None, help="Switch it on or off.")
@json_option
def change(name: str, cron: str | None, interval: str | None, timezone: str | None, enabled: bool | None) -> None:
    """Change the schedule of the sync NAME. It holds at once and over restarts."""
    if (cron, interval, timezone, enabled) == (None, None, None, None):
        raise click.UsageError("Say what to change: --cron, --interval, --timezone, --enable or --disable.")
    app = connect()
    changes = {"cron": cron, "interval": interval, "timezone": timezone}
    change_schedule(app.database, app.settings, utc_now, name, app.actor, **changes, enabled=enabled)
    found = get_schedule(app.database, app.settings, name)
    emit(found, lambda: _show([found]))


def when(schedule: ScheduleView) -> str:
    """`0 */6 * * *` or `every 30 min 00 s`"""
    return schedule.cron or f"every {seconds_text(schedule.interval)}"


def _show(found: list[ScheduleView]) -> None:
    rows = [
        (one.name, plain(when(one)), one.timezone, one.enabled, one.next_run_at, one.last_run_at, one.queue)
        for one in found
    ]
    show_table(COLUMNS, rows, empty="There is no sync.")
