"""Steps that several migrations take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic import op
from alembic.operations.ops import CreateTableOp, ExecuteSQLOp, MigrationScript
from alembic.runtime.migration import MigrationContext

from syncapp.merge.table import COMMON

FUNCTION = """
CREATE FUNCTION forget_row_hash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.row_hash := NULL;
    RETURN NEW;
END $$
"""


def create_forget_row_hash() -> None:
    """The trigger function behind `watch_row_hash`."""
    op.execute(FUNCTION)


def drop_forget_row_hash() -> None:
    op.execute("DROP FUNCTION forget_row_hash()")


def watch_row_hash(table: str, columns: Sequence[str]) -> None:
    """Empties `row_hash` when somebody other than a sync changes a row, so that the next read puts it right.

    A sync always changes `row_hash` with the row: for its own writes the condition is false and no function runs.
    """
    op.execute(watching(table, columns))


def watching(table: str, columns: Sequence[str]) -> str:
    """The statement behind `watch_row_hash`."""
    watched = [*columns, "deleted_at", "is_mock"]
    old, new = (", ".join(f"{side}.{column}" for column in watched) for side in ("OLD", "NEW"))
    return (
        f"CREATE TRIGGER {table}_changed_elsewhere BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (OLD.row_hash IS NOT DISTINCT FROM NEW.row_hash AND ({old}) IS DISTINCT FROM ({new})) "
        "EXECUTE FUNCTION forget_row_hash()"
    )


def watch_new_tables(_: MigrationContext, __: Any, directives: list[MigrationScript]) -> None:
    """Adds `watch_row_hash` to a generated migration for every table that a sync fills."""
    for script in directives:
        for step in list(script.upgrade_ops.ops if script.upgrade_ops else ()):
            if isinstance(step, CreateTableOp) and "row_hash" in step.to_table().columns:
                own = [column.name for column in step.to_table().columns if column.name not in COMMON]
                script.upgrade_ops.ops.append(ExecuteSQLOp(watching(step.table_name, own)))  # type: ignore[union-attr]
