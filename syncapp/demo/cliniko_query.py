"""What `q[]` and `sort` ask of the stand-in for Cliniko: the filters, by the kind of their columns, and the order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from syncapp.demo.cliniko_shapes import Record, Resource

Test = Callable[[Any], bool]
NOT_SEARCHABLE = "This column is not searchable."
SYNTAX = re.compile(r"([a-z_]+):(!\?|\?|!=|>=|<=|~~|~|=|>|<|\*)(.*)", re.DOTALL)
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
ORDERED = {">", ">=", "<", "<="}
NULLS = {"?", "!?"}
OPERATORS: Mapping[str, set[str]] = {
    "number": {"=", "!="} | ORDERED | NULLS,
    "time": {"*"} | ORDERED | NULLS,  # no equality
    "date": {"="} | ORDERED | NULLS,
    "text": {"=", "!=", "~", "~~"} | NULLS,
    "flag": {"=", "!="},
    "array": {"~"},
}


class Refused(Exception):
    """What the API answers with this message, and with 400 unless another status is given."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Filter:
    """One `q[]`: `column:operator text`, of a column of that kind."""

    column: str
    kind: str
    operator: str
    text: str

    def test(self) -> Test:
        """Says of a column's value whether it fits; null fits no comparison. Raises `Refused`."""
        if self.operator in "!?*":
            if self.text:
                raise Refused(NOT_SEARCHABLE)
            return {"?": _is_set, "!?": _is_null, "*": _anything}[self.operator]
        try:
            fits = KINDS[self.kind](self)
        except ValueError as error:
            raise Refused(f"Filter value for {self.column} must be {error}") from None
        return lambda value: value is not None and fits(value)


def _is_set(value: Any) -> bool:
    return value is not None


def _is_null(value: Any) -> bool:
    return value is None


def _anything(_value: Any) -> bool:
    return True


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text.strip()):
        raise ValueError("a number")
    return int(text)


def _number(asked: Filter) -> Test:
    if asked.operator == "=":
        wanted = {_whole(part) for part in asked.text.split(",")}
        return lambda value: int(value) in wanted
    limit, compare = _whole(asked.text), COMPARISONS[asked.operator]
    return lambda value: compare(int(value), limit)


def _time(asked: Filter) -> Test:
    """Without their Z, times of whole seconds and times with a fraction compare as text."""
    try:
        if not asked.text.endswith("Z") or "T" not in asked.text:
            raise ValueError
        datetime.fromisoformat(asked.text)
    except ValueError:
        raise ValueError("a time in UTC such as 2014-08-30T18:00:00Z") from None
    limit, compare = asked.text.rstrip("Z"), COMPARISONS[asked.operator]
    return lambda value: compare(value.rstrip("Z"), limit)


def _date(asked: Filter) -> Test:
    if asked.operator == "=" and re.fullmatch(r"[\d*]{4}-[\d*]{2}-[\d*]{2}", asked.text):
        pattern = re.compile(asked.text.replace("*", r"\d"))
        return lambda value: pattern.fullmatch(value) is not None
    try:
        limit = date.fromisoformat(asked.text).isoformat()
    except ValueError:
        raise ValueError("a date such as 2014-08-30") from None
    compare = COMPARISONS[asked.operator]
    return lambda value: compare(value, limit)


def _text(asked: Filter) -> Test:
    if asked.operator in COMPARISONS:
        compare = COMPARISONS[asked.operator]
        return lambda value: compare(value, asked.text)
    words = asked.text if asked.operator == "~~" else f"%{asked.text}%"
    pattern = re.compile(".*".join(map(re.escape, words.split("%"))), re.IGNORECASE | re.DOTALL)
    return lambda value: pattern.fullmatch(value) is not None


def _flag(asked: Filter) -> Test:
    if asked.text not in {"true", "false"}:
        raise ValueError("true or false")
    compare = COMPARISONS[asked.operator]
    return lambda value: compare(value, asked.text == "true")


def _array(asked: Filter) -> Test:
    return lambda value: asked.text in value


KINDS: Mapping[str, Callable[[Filter], Test]] = {
    "number": _number,
    "time": _time,
    "date": _date,
    "text": _text,
    "flag": _flag,
    "array": _array,
}


def read_filters(texts: Iterable[str], columns: Mapping[str, str]) -> tuple[Filter, ...]:
    """The filters of every `q[]`. Raises `Refused` for other columns and for operators that a column does not know."""
    filters = []
    for text in texts:
        parts = SYNTAX.fullmatch(text)
        kind = columns.get(parts[1]) if parts else None
        if parts is None or kind is None or parts[2] not in OPERATORS[kind]:
            raise Refused(NOT_SEARCHABLE)
        filters.append(Filter(parts[1], kind, parts[2], parts[3]))
    return tuple(filters)


def read_order(sort: str, order: str, columns: Mapping[str, str]) -> tuple[tuple[str, bool], ...]:
    """The columns of `sort=a,b:desc`, each with whether it descends; `order` is for those that do not say."""
    parsed = []
    for part in (sort or "created_at").split(","):
        column, _, direction = part.partition(":")
        if columns.get(column, "array") == "array" or (direction or order or "asc") not in {"asc", "desc"}:
            raise Refused("This column is not sortable.")
        parsed.append((column, (direction or order) == "desc"))
    return tuple(parsed)


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of a resource are wanted, in which order; `active` picks practitioners."""

    resource: Resource
    filters: tuple[Filter, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    active: bool | None = None

    def select(self, rows: list[Record]) -> list[Record]:
        """Hidden records stay out, unless a filter names the mark that hides them. Raises `Refused`."""
        named = {asked.column for asked in self.filters}
        for mark in self.resource.hidden:
            if mark not in named:
                rows = [row for row in rows if row.get(mark) is None]
        if self.active is not None:
            rows = [row for row in rows if bool(row.get("active")) is self.active]
        for asked in self.filters:
            fits, column = asked.test(), asked.column
            rows = [row for row in rows if fits(row.get(column))]
        rows = sorted(rows, key=lambda row: int(row["id"]))
        for column, descends in reversed(self.order):
            rows.sort(key=_by(column, self.resource.filters[column]), reverse=descends)
        return rows


def _by(column: str, kind: str) -> Callable[[Record], tuple[bool, Any]]:
    """Null after everything else, as PostgreSQL has it."""
    if kind == "number":
        return lambda row: (row.get(column) is None, row.get(column) and int(row[column]))
    return lambda row: (row.get(column) is None, row.get(column))
