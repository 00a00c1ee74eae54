"""What every command begins with: its options, the settings, the database."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import Any, TypeVar

import click

from config.logging import configure_logging
from config.settings import Settings, SettingsError, load_settings
from config.values import parse_duration
from syncapp.audit import Actor
from syncapp.db import Database
from syncapp.embedded.running import environment_beside
from syncapp.queries import check_organization
from syncapp.scope import EVERYONE, Scope
from syncapp.times import utc_text

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
AGO = re.compile(r"(?i)(\d+[dhms])+")


@dataclass(frozen=True)
class App:
    """What a command works with. `scope` is the organization's that it was asked for, or everyone's."""

    settings: Settings
    database: Database
    scope: Scope

    @property
    def actor(self) -> Actor:
        """Who asks, as the audit trail names it."""
        try:
            return Actor(f"cli:{getuser()}")
        except (KeyError, OSError):  # a container's user may have a number and no name
            return Actor(f"cli:{os.getuid()}")


def find_settings() -> Settings:
    """The environment's; where it names no PostgreSQL, those of the `syncapp up` that runs on SYNCAPP_HOME.

    Raises SettingsError.
    """
    settings = load_settings()
    if settings.database_url or settings.postgres_host:
        return settings
    home = Path(settings.syncapp_home)
    beside = environment_beside(home)
    if beside is None or "DATABASE_URL" not in beside:
        raise SettingsError(
            f"DATABASE_URL is missing, and no `syncapp up` with a PostgreSQL of its own runs on {home.absolute()}: "
            "start one with `make up` (or `syncapp up`), or set DATABASE_URL"
        )
    found = {name.lower(): value for name, value in beside.items() if name.lower() not in settings.model_fields_set}
    return load_settings(**found)


def connect(organization: str | None = None, *, everyone: bool = False) -> App:
    """The settings and a database that is closed with the command. Raises SettingsError, NotFound (organization).

    The log stays silent unless LOG_LEVEL is set: what a user should know, commands say themselves.
    """
    settings = find_settings()
    quiet = {} if "log_level" in settings.model_fields_set else {"log_level": "CRITICAL"}
    configure_logging(settings.model_copy(update=quiet), "cli")
    database = Database(settings.database, pool_size=2, application_name="syncapp-cli")
    click.get_current_context().call_on_close(database.dispose)
    if organization is not None:
        check_organization(database, organization)
    scope = EVERYONE if everyone else Scope(organization or settings.default_organization_id)
    return App(settings, database, scope)


def json_option(command: Decorated) -> Decorated:
    """`--json`, on every command and before it; `Edge` has seen it before the command is parsed."""
    return click.option("--json", is_flag=True, expose_value=False, help="Print one JSON document instead of a table.")(
        command
    )


def organization_option(command: Decorated) -> Decorated:
    return click.option(
        "--organization", metavar="ID", help="The organization it is about (default: DEFAULT_ORGANIZATION_ID)."
    )(command)


class Moment(click.ParamType[datetime]):
    """A time, or how long ago: `2025-06-30`, `2025-06-30T12:00:00Z`, `2h`, `7d`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if AGO.fullmatch(value):
                return datetime.now(UTC) - timedelta(seconds=parse_duration(value))
            return datetime.fromisoformat(utc_text(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a time such as 2025-06-30T12:00:00Z nor a duration such as 2h", param, ctx)
