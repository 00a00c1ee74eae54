"""Credentials of organizations at the upstreams that each has an account of its own with."""

from __future__ import annotations

import sys

import click

from syncapp.cli.context import App, connect, json_option, organization_option
from syncapp.cli.failures import Failed
from syncapp.cli.output import emit, show_table
from syncapp.commands import check_cliniko_key, remove_cliniko_key, rotate_credentials, store_cliniko_key
from syncapp.encryption import Unreadable
from syncapp.engine.runtime import utc_now
from syncapp.guards.rate_limit import rate_limit_for
from syncapp.queries import list_credentials, part_of

COLUMNS = ("ORGANIZATION", "PROVIDER", "REGION", "VALID", "CHECKED", "STORED")


@click.group("credentials", invoke_without_command=True)
@json_option
@click.pass_context
def credentials(context: click.Context) -> None:
    """List what organizations have stored; store, check and remove it. A secret is never shown."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@credentials.command("list")
@json_option
def show_all() -> None:
    """List whose credentials are stored, and whether they were good last time."""
    found = list_credentials(connect().database)
    rows = [(one.organization_id, one.provider, one.region, one.valid, one.checked_at, one.updated_at) for one in found]
    empty = "No credentials are stored: syncapp credentials set cliniko --organization ID"
    emit(part_of(found, limit=len(found)), lambda: show_table(COLUMNS, rows, empty=empty))


@credentials.command("set")
@click.argument("provider", type=click.Choice(["cliniko"]))
@organization_option
@json_option
def store(provider: str, organization: str | None) -> None:
    """Try an API key and keep it. It is asked for, or read from standard input: never put one into a command line."""
    app = connect(organization)
    key = click.prompt("API key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    wanted = _organization(app)
    found = store_cliniko_key(app.database, app.settings, rate_limit_for(app.settings), wanted, key.strip(), app.actor)
    emit(found, lambda: click.echo(f"{provider} took the key of {wanted}, region {found.api_region}; it was stored"))


@credentials.command("check")
@click.argument("provider", type=click.Choice(["cliniko"]))
@organization_option
@json_option
def check(provider: str, organization: str | None) -> None:
    """Ask with the stored key; what is said of it is kept."""
    app = connect(organization)
    limit = rate_limit_for(app.settings)
    found = check_cliniko_key(app.database, app.settings, limit, utc_now, _organization(app))
    took = f"{found.response_time_ms:.0f} ms"
    emit(found, lambda: click.echo(f"{provider} answers {found.organization_id} in {took}, region {found.api_region}"))


@credentials.command("remove")
@click.argument("provider", type=click.Choice(["cliniko"]))
@organization_option
@json_option
def remove(provider: str, organization: str | None) -> None:
    """Forget the key; a run that reads with it stops at its next page."""
    app = connect(organization)
    wanted = _organization(app)
    removed = remove_cliniko_key(app.database, wanted, app.actor)
    said = f"{wanted} has no {provider} key " + ("any more" if removed else "stored")
    emit({"organization_id": wanted, "provider": provider, "removed": removed}, lambda: click.echo(said))


@credentials.command("rotate")
@json_option
def rotate() -> None:
    """Encrypt everything under SYNCAPP_SECRET_KEY; SYNCAPP_SECRET_KEY_PREVIOUS can go then."""
    app = connect(everyone=True)
    try:
        count = rotate_credentials(app.database, app.settings, app.actor)
    except Unreadable:
        raise Failed(
            "Some credentials can be read with neither key, and nothing was changed: name the key that they were "
            "encrypted under in SYNCAPP_SECRET_KEY_PREVIOUS, or store them again"
        ) from None
    noun = "credential was" if count == 1 else "credentials were"
    emit({"rotated": count}, lambda: click.echo(f"{count} {noun} encrypted under the key of now"))


def _organization(app: App) -> str:
    return str(app.scope.organization_id)
