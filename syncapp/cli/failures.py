"""Whatever goes wrong, as one line on standard error and an exit code."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

import click
import psycopg
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from config.settings import SettingsError
from syncapp.cli.output import JSON_ASKED, dump, json_asked
from syncapp.embedded.home import HomeError
from syncapp.embedded.server import ServerFailed
from syncapp.errors import DatabaseUnavailable, RequestRefused, SyncError

log = logging.getLogger(__name__)

NOT_MIGRATED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
LONGEST = 400


class Failed(click.ClickException):
    """The command did not do what it was asked for: one line, and the contract's error shape where JSON was asked for.

    `document` is printed in place of that shape: a run that failed says by itself why.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str = "internal_error",
        error_code: str = "INTERNAL_ERROR",
        details: Mapping[str, Any] | None = None,
        document: Any = None,
        exit_code: int = 1,
    ) -> None:
        super().__init__(message)
        self.code = exit_code
        self._json = json_asked()
        facts = {"error_type": error_type, "error_code": error_code, "message": message, **(details or {})}
        self._document = document or {
            "success": False,
            "error": "The command failed",
            "details": facts,
            "timestamp": datetime.now(UTC),
        }

    def show(self, file: IO[Any] | None = None) -> None:
        self.show_document()
        click.echo(f"Error: {self.message}", file=file, err=True)

    def show_document(self) -> None:
        if self._json:
            click.echo(dump(self._document))


class Edge(click.Group):
    """Where exceptions end: no command shows a traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--json" in args:  # wherever it stands: what cannot be used may stand before it
            ctx.meta[JSON_ASKED] = True
        with _documented():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _documented():
                return super().invoke(ctx)
        except Failed as error:
            failed = error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of our pipe has left; click ends quietly
            failed = failure_of(error)
        failed.show()
        return ctx.exit(failed.code)


@contextmanager
def _documented() -> Iterator[None]:
    """A usage error keeps click's words and exit code; where JSON was asked for it is a document too."""
    try:
        yield
    except click.UsageError as error:
        Failed(error.format_message(), error_type="validation_error", error_code="USAGE").show_document()
        raise


def failure_of(error: Exception) -> Failed:
    """The line and the facts of what was raised."""
    if isinstance(error, DatabaseUnavailable | OperationalError | psycopg.OperationalError):
        return _unreachable(error)
    if isinstance(error, SyncError):
        return _refused(error)
    if isinstance(error, SettingsError | HomeError | ServerFailed | CommandError):
        return Failed(str(error), error_type="validation_error", error_code="ENVIRONMENT")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, NOT_MIGRATED):
        return Failed(
            "PostgreSQL lacks a table or column of this version: run `syncapp db upgrade`",
            error_type="database_error",
            error_code="NOT_MIGRATED",
        )
    if isinstance(error, SQLAlchemyError | psycopg.Error):
        return Failed(f"PostgreSQL refused: {_first_line(cause)}", error_type="database_error")
    log.debug("an unexpected error", exc_info=error)
    what = f"{type(error).__name__}: {_first_line(error)}"
    return Failed(f"An unexpected error, a bug of ours ({what}); LOG_LEVEL=DEBUG shows where")


def _unreachable(error: BaseException) -> Failed:
    """What the driver said, which names the host and why, never the password."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, psycopg.Error):
        cause = getattr(cause, "orig", None) or cause.__cause__
    reason = f": {_first_line(cause)}" if cause else ""
    return Failed(
        f"PostgreSQL cannot be reached{reason}. Start it or correct DATABASE_URL; `syncapp doctor` looks at everything",
        error_type=DatabaseUnavailable.error_type,
        error_code=DatabaseUnavailable.default_code,
    )


def _refused(error: SyncError) -> Failed:
    """The message, what is wrong with which field, and the run that is in the way."""
    details = dict(error.details) if isinstance(error, RequestRefused) else {}
    fields = details.get("fields", {})
    message = "; ".join([error.message, *(f"{name}: {' '.join(texts)}" for name, texts in fields.items())])
    if "sync_id" in details and details["sync_id"] not in message:
        message += f" ({details['sync_id']})"
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        details["retry_after"] = retry_after
    return Failed(message, error_type=error.error_type, error_code=error.error_code, details=details)


def _first_line(error: BaseException | None) -> str:
    return " ".join(str(error).split("\n\t")[0].split())[:LONGEST]
