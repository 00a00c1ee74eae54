"""What the merge has to know of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from sqlalchemy import Boolean, Date, DateTime, Integer, Numeric, Text
from sqlalchemy import Column as SqlColumn
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import MappedColumn
from sqlalchemy.types import TypeEngine

from syncapp.comparison import Lists
from syncapp.models.base import Synced, Versioned

ColumnKind = Literal["text", "integer", "number", "boolean", "date", "timestamp", "json"]


KINDS: tuple[tuple[type[TypeEngine[Any]], ColumnKind], ...] = (
    (Text, "text"),
    (Date, "date"),
    (DateTime, "timestamp"),
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Numeric, "number"),
    (JSONB, "json"),
)
COMMON = frozenset(
    name for base in (Synced, Versioned) for name, value in vars(base).items() if isinstance(value, MappedColumn)
)
LARGEST = 1_048_576  # bytes of a row
VERSION = "source_updated_at"
REMOVAL = "deleted_at"


@dataclass(frozen=True, slots=True)
class Column:
    """A column the source fills. Values by kind: str, int, int or float, bool, RFC 3339 str of a date or a time, JSON;
    or None."""

    name: str
    kind: ColumnKind = "text"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that holds another row's id, known by that row's key.

    The normalizer's value is the key of the row in `table`. A row that is not there yet is created with its key and
    `sync_status = 'pending'`, for its own stream to fill. A record that carries the row with it hands it over in
    `Row.related[column]`: what it brings is written, what it leaves out stays.
    """

    column: str
    table: Table


@dataclass(frozen=True)
class Table:
    """A table of `id, organization_id, external_id, columns…, row_hash` and the tail that all synced tables have.

    `version` names the timestamp column that says which of two states of a record is the newer one.
    With `deleted_at` as the last of its columns the source itself says there since when a record is removed, and such a
    record is kept as it came; else `Row.deleted` marks one, and of its row nothing but `deleted_at` changes.
    `versioned` tables count the real changes of a row in `data_version`. `lists` says of which lists within JSON the
    order means nothing, for comparing two states of a row; values must be canonical then. `largest` is in bytes.
    `row_hash` tells in one array query which records differ. A trigger empties it when anyone else changes the row, so
    that the next read puts the row right.
    """

    name: str
    columns: tuple[Column, ...]
    references: tuple[Reference, ...] = ()
    version: str | None = None
    versioned: bool = False
    lists: Lists = field(default_factory=dict)
    largest: int = LARGEST

    @classmethod
    def of(
        cls,
        model: type[Synced],
        *,
        version: str = VERSION,
        says_removed: bool = False,
        lists: Lists | None = None,
        largest: int = LARGEST,
        **references: Table,
    ) -> Table:
        """The table of a model: its own columns but computed ones, and by column the tables that it refers to."""
        columns = model.__table__.columns  # type: ignore[attr-defined]
        own = [_column(one, references) for one in columns if one.name not in COMMON and one.computed is None]
        return cls(
            model.__tablename__,  # type: ignore[attr-defined]
            (*own, Column(REMOVAL, "timestamp")) if says_removed else tuple(own),
            tuple(Reference(name, table) for name, table in references.items()),
            version=version if version in columns else None,
            versioned=issubclass(model, Versioned),
            lists=lists or {},
            largest=largest,
        )

    @cached_property
    def says_removed(self) -> bool:
        return REMOVAL in self.names

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def trees(self) -> tuple[int, ...]:
        """Positions of the columns that hold JSON."""
        return tuple(i for i, column in enumerate(self.columns) if column.kind == "json")


def _column(column: SqlColumn[Any], references: Mapping[str, Table]) -> Column:
    """A reference travels as the other row's key. Raises KeyError for a type the merge does not know."""
    if column.name in references:
        return Column(column.name)
    for sql_type, kind in KINDS:
        if isinstance(column.type, sql_type):
            return Column(column.name, kind)
    raise KeyError(f"the merge does not know the type of {column.name}: {column.type}")
