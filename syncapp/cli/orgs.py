"""Organizations."""

from __future__ import annotations

import click

from syncapp.cli.context import connect, json_option
from syncapp.cli.output import emit, note, plain, show_table
from syncapp.commands import change_organization, create_organization
from syncapp.queries import OrganizationView, get_organization, list_organizations


@click.group("orgs", invoke_without_command=True)
@json_option
@click.pass_context
def orgs(context: click.Context) -> None:
    """List the organizations, make and change them."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@orgs.command("list")
@json_option
def show_all() -> None:
    """List the organizations, the oldest first."""
    app = connect()
    found = list_organizations(app.database)
    rows = [(one.id, one.name, one.active, one.created_at) for one in found.items]
    show = ("ID", "NAME", "ACTIVE", "CREATED")
    emit(found, lambda: show_table(show, rows, empty="There is no organization."))


@orgs.command("create")
@click.argument("name")
@click.option("--id", "organization_id", metavar="ID", help="Letters, digits, - and _; made up where none is given.")
@json_option
def create(name: str, organization_id: str | None) -> None:
    """Make an organization called NAME."""
    app = connect()
    made = create_organization(app.database, name=name, organization_id=organization_id, actor=app.actor)

    def show() -> None:
        click.echo(f"The organization {made.id} was made; use that id from now on: --organization {made.id}")
        if organization_id is None:
            note("The id was made up: --id gives one of your own choice")

    emit(made, show)


@orgs.command("rename")
@click.argument("organization_id", metavar="ID")
@click.argument("name")
@json_option
def rename(organization_id: str, name: str) -> None:
    """Call the organization ID by another NAME. Its id stays."""
    found, _ = _change(organization_id, name=name)
    emit(found, lambda: click.echo(f"The organization {found.id} is called {plain(found.name)} now"))


@orgs.command("deactivate")
@click.argument("organization_id", metavar="ID")
@json_option
def deactivate(organization_id: str) -> None:
    """Start no more runs of the organization ID, stop those in flight, and turn its members away."""
    found, stopped = _change(organization_id, active=False)
    runs = f"; runs asked to stop: {stopped:,}" if stopped else ""
    emit(found, lambda: click.echo(f"The organization {found.id} is not active any more{runs}"))


@orgs.command("activate")
@click.argument("organization_id", metavar="ID")
@json_option
def activate(organization_id: str) -> None:
    """Bring the organization ID back."""
    found, _ = _change(organization_id, active=True)
    emit(found, lambda: click.echo(f"The organization {found.id} is active"))


def _change(
    organization_id: str, *, name: str | None = None, active: bool | None = None
) -> tuple[OrganizationView, int]:
    """The organization as it is now, and how many of its runs were asked to stop."""
    app = connect()
    stopped = change_organization(app.database, app.settings, organization_id, app.actor, name=name, active=active)
    return get_organization(app.database, organization_id), stopped
