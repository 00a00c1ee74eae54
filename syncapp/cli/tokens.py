"""Bearer tokens for the API."""

from __future__ import annotations

import click

from syncapp.cli.context import connect, json_option
from syncapp.cli.output import emit, note, show_table
from syncapp.commands import create_token, revoke_token
from syncapp.queries import check_organization, list_tokens

COLUMNS = ("ID", "NAME", "ROLE", "ORGANIZATION", "CREATED", "LAST USED", "REVOKED")


@click.group("tokens", invoke_without_command=True)
@json_option
@click.pass_context
def tokens(context: click.Context) -> None:
    """List the API's tokens, make and revoke them."""
    if context.invoked_subcommand is None:
        context.invoke(show_all)


@tokens.command("list")
@click.option("--organization", metavar="ID", help="Those of one organization alone.")
@json_option
def show_all(organization: str | None = None) -> None:
    """List the tokens, without their secrets, of which only hashes are kept."""
    app = connect(organization)
    found = list_tokens(app.database, organization)
    rows = [
        (one.id, one.name, one.role, one.organization_id, one.created_at, one.last_used_at, one.revoked_at)
        for one in found.items
    ]
    empty = "There is no token yet: syncapp tokens create --admin"
    emit(found, lambda: show_table(COLUMNS, rows, empty=empty))


@tokens.command("create")
@click.option("--admin", is_flag=True, help="For every organization and every route.")
@click.option("--organization", metavar="ID", help="For a member of this organization; with --admin the token's own.")
@click.option("--name", help="What it is for; its role where none is given.")
@json_option
def create(admin: bool, organization: str | None, name: str | None) -> None:
    """Make a token. It is printed now and never again."""
    if not (admin or organization):
        raise click.UsageError("Say for whom: --admin, or --organization ID for a member of it.")
    app = connect()
    if organization is not None:
        check_organization(app.database, organization)
    role = "admin" if admin else "member"
    made = create_token(app.database, name=name or role, role=role, organization_id=organization, actor=app.actor)

    def show() -> None:
        note(f"{made.id}, {made.role}{f' of {organization}' if organization else ''}; it is not shown again:")
        click.echo(made.token)

    emit(made, show)


@tokens.command("revoke")
@click.argument("token_id")
@json_option
def revoke(token_id: str) -> None:
    """Make a token good for nothing. TOKEN_ID stands in `syncapp tokens`."""
    app = connect()
    revoke_token(app.database, token_id, app.actor)
    emit({"message": "The token was revoked", "id": token_id}, lambda: click.echo(f"The token was revoked: {token_id}"))
