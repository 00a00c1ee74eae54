"""The `syncapp` command."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from syncapp.cli.context import json_option
from syncapp.cli.credentials import credentials
from syncapp.cli.database import db
from syncapp.cli.doctor import doctor
from syncapp.cli.failures import Edge
from syncapp.cli.orgs import orgs
from syncapp.cli.output import emit
from syncapp.cli.runs import cancel, errors, replay, retry, run, runs, undo
from syncapp.cli.schedules import schedules
from syncapp.cli.settings import settings
from syncapp.cli.sync import sync, trigger
from syncapp.cli.syncs import syncs
from syncapp.cli.tokens import tokens
from syncapp.cli.up import up

COMMANDS = (
    up,
    syncs,
    sync,
    trigger,
    runs,
    run,
    cancel,
    retry,
    errors,
    replay,
    undo,
    schedules,
    settings,
    orgs,
    tokens,
    credentials,
    doctor,
    db,
)


def _show_version(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
    if not value or context.resilient_parsing:
        return
    try:
        found = version("syncapp")
    except PackageNotFoundError:
        found = "of a checkout that is not installed"
    emit({"version": found}, lambda: click.echo(f"syncapp {found}"))
    context.exit()


@click.group(cls=Edge, commands=list(COMMANDS), context_settings={"help_option_names": ["-h", "--help"]})
@json_option
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def main() -> None:
    """Keeps data in step between systems.

    PostgreSQL is found by DATABASE_URL, or by SYNCAPP_HOME beside a running `syncapp up`.
    """
