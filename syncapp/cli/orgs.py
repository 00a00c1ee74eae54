"""Organizations."""

from __future__ import annotations

import click

from syncapp.cli.context import connect, json_option
from syncapp.cli.output import emit, note, show_table
from syncapp.commands import create_organization
from syncapp.queries import list_organizations, part_of


@click.group("orgs", invoke_without_command=True)
@json_option
@click.pass_context
def orgs(context: click.Context) -> None:
    """List the organizations, or make one."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@orgs.command("list")
@json_option
def show_all() -> None:
    """List the organizations, the oldest first."""
    app = connect()
    found = list_organizations(app.database)
    rows = [(one.id, one.name, one.active, one.created_at) for one in found]
    show = ("ID", "NAME", "ACTIVE", "CREATED")
    emit(part_of(found, limit=len(found)), lambda: show_table(show, rows, empty="There is no organization."))


@orgs.command("create")
@click.argument("name")
@click.option("--id", "organization_id", metavar="ID", help="Letters, digits, - and _; made up where none is given.")
@json_option
def create(name: str, organization_id: str | None) -> None:
    """Make an organization called NAME."""
    app = connect()
    made = create_organization(app.database, name=name, organization_id=organization_id)

    def show() -> None:
        click.echo(f"The organization {made.id} was made; use that id from now on: --organization {made.id}")
        if organization_id is None:
            note("The id was made up: --id gives one of your own choice")

    emit(made, show)
