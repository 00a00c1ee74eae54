"""Which syncs there are, and how they are."""

from __future__ import annotations

import click

from syncapp.cli.context import connect, json_option, organization_option
from syncapp.cli.output import emit, seconds_text, show_table
from syncapp.cli.schedules import when
from syncapp.engine.runtime import utc_now
from syncapp.queries import SyncView, list_syncs, part_of

COLUMNS = ("SYNC", "HEALTH", "FROM", "TO", "MODES", "WHEN", "NEXT RUN", "LAST SUCCESS", "AGE")


@click.command("syncs")
@organization_option
@json_option
def syncs(organization: str | None) -> None:
    """List every sync: where from, where to, when, how it is and how old its data is."""
    app = connect(organization)
    found = list_syncs(app.database, app.scope, app.settings, utc_now())
    emit(part_of(found, limit=len(found)), lambda: show_table(COLUMNS, map(_line, found), empty="There is no sync."))


def _line(sync: SyncView) -> tuple[object, ...]:
    planned = when(sync.schedule) if sync.schedule.enabled else "disabled"
    return (
        sync.name,
        sync.health if sync.configured else "not configured",
        sync.source,
        sync.destination,
        ", ".join(sync.modes),
        planned,
        sync.schedule.next_run_at,
        sync.freshness.last_success_at,
        seconds_text(sync.freshness.seconds),
    )
