"""What of the properties' sync can be changed while it runs."""

from __future__ import annotations

import click

from syncapp.cli.context import App, connect, json_option
from syncapp.cli.output import emit, plain, show_table
from syncapp.commands import change_settings, complete_settings
from syncapp.engine.runtime import utc_now
from syncapp.queries import list_settings, part_of

COLUMNS = ("SETTING", "VALUE", "CHANGED", "WHAT IT IS")


@click.group("settings", invoke_without_command=True)
@json_option
@click.pass_context
def settings(context: click.Context) -> None:
    """List the settings of the properties' sync, or change them."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@settings.command("list")
@json_option
def show_all() -> None:
    """List the settings."""
    _show(connect())


@settings.command("set")
@click.argument("changes", metavar="KEY=VALUE...", nargs=-1, required=True)
@json_option
def change(changes: tuple[str, ...]) -> None:
    """Change settings, all of them or none: sync_interval=6h rate_limit=5, say.

    They hold from the next batch on, in every worker, and over restarts.
    """
    wanted = [(key, value) for key, mark, value in (one.partition("=") for one in changes) if mark]
    if len(wanted) != len(changes):
        raise click.UsageError("Write each as KEY=VALUE, such as rate_limit=5.")
    app = connect()
    change_settings(app.database, app.settings, utc_now, wanted, app.actor)
    _show(app)


def _show(app: App) -> None:
    complete_settings(app.database, app.settings, utc_now)
    found = list_settings(app.database)
    rows = [(one.setting_key, plain(one.setting_value), one.updated_at, one.description) for one in found]
    emit(part_of(found, limit=len(found)), lambda: show_table(COLUMNS, rows, empty="There is no setting."))
