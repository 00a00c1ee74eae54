"""The database's schema: `syncapp db`."""

from __future__ import annotations

import click
from sqlalchemy import Engine

from syncapp.cli.context import connect, json_option
from syncapp.cli.failures import Failed
from syncapp.cli.output import emit
from syncapp.migrations.command import current, downgrade, head, upgrade, write_revision


@click.group("db")
@json_option
def db() -> None:
    """Migrate the database forward or back, or check whether it is migrated."""


@db.command("upgrade")
@json_option
def upgrade_schema() -> None:
    """Bring PostgreSQL to this version's schema. Does nothing where it is there already."""
    app = connect()
    before = current(app.database.engine)
    upgrade(app.settings.database)
    document = schema_state(app.database.engine) | {"before": before}
    done = "already at" if before == document["current"] else "now at"
    emit(document, lambda: click.echo(f"The database is {done} revision {document['current']}"))


@db.command("check")
@json_option
def check_schema() -> None:
    """Whether PostgreSQL has this version's schema; exit code 1 where not."""
    state = schema_state(connect().database.engine)
    if state["current"] != state["head"]:
        raise Failed(
            f"The database is at revision {state['current'] or 'none'}, this version needs {state['head']}: "
            "run `syncapp db upgrade`",
            document=state,
        )
    emit(state, lambda: click.echo(f"The database is at revision {state['current']}, as this version needs it"))


@db.command("downgrade")
@click.argument("revision")
@click.confirmation_option(prompt="What newer revisions added is dropped, with its data. Go on?")
@json_option
def downgrade_schema(revision: str) -> None:
    """Take PostgreSQL's schema back to a revision, for the version of the code that came with it."""
    app = connect()
    before = current(app.database.engine)
    downgrade(app.settings.database, revision)
    document = schema_state(app.database.engine) | {"before": before}
    emit(document, lambda: click.echo(f"The database is at revision {document['current'] or 'none'} again"))


@db.command("revision")
@click.argument("message")
@json_option
def make_revision(message: str) -> None:
    """Write a migration from what the models have and PostgreSQL has not, for you to read."""
    path = write_revision(connect().settings.database, message)
    emit({"file": str(path)}, lambda: click.echo(f"Read {path}, then run `syncapp db upgrade`"))


def schema_state(engine: Engine) -> dict[str, str | None]:
    """`current`, None where it was never migrated, and `head`. Raises SQLAlchemy's OperationalError."""
    return {"current": current(engine), "head": head()}
