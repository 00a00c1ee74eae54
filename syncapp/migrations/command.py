"""Migrations as functions, so that no process needs an ini file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine


def config(database_url: str) -> Config:
    made = Config(cmd_opts=Namespace(quiet=True))
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("path_separator", "os")
    made.attributes["url"] = database_url
    return made


def upgrade(database_url: str, revision: str = "head") -> None:
    """Brings the database to `revision`. Processes that migrate at once wait for each other."""
    command.upgrade(config(database_url), revision)


def downgrade(database_url: str, revision: str) -> None:
    command.downgrade(config(database_url), revision)


def write_revision(database_url: str, message: str) -> Path:
    """Writes a migration from what the models have and the database has not; the file, for somebody to read."""
    revision = f"{int(head() or 0) + 1:04d}"
    written = command.revision(config(database_url), message, autogenerate=True, rev_id=revision)
    return Path(written.path)  # type: ignore[union-attr]


def head() -> str:
    """The newest revision of this code."""
    return ScriptDirectory.from_config(config("")).get_current_head() or ""


def current(engine: Engine) -> str | None:
    """The database's revision, None where it was never migrated."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
