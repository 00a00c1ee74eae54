"""One account of the stand-in for Cliniko: its records, what changes them, and who asked for them."""

from __future__ import annotations

import math
import threading
from collections import deque
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from syncapp.demo.cliniko_query import Query
from syncapp.demo.cliniko_shapes import RESOURCES, Record
from syncapp.demo.faults import Records
from syncapp.demo.server import utc_now
from syncapp.ports import Clock

CACHED_QUERIES = 64
CALLS_KEPT = 100_000


class Call(NamedTuple):
    """A request that came with the account's key; `refused` where it got 429."""

    at: datetime
    path: str
    query: str
    refused: bool


def timestamp(time: datetime) -> str:
    """Whole seconds, as Cliniko has them."""
    return f"{time:%Y-%m-%dT%H:%M:%S}Z"


class Account:
    """Records by resource, kept flat (see `cliniko_shapes.Resource`); the account has copies of its own.

    Change them by its methods: they move `updated_at`, which never goes back, and `version`. After changing
    `records` by hand, call `touch`. All of it is safe to use from every thread.
    """

    def __init__(self, records: Records | None = None, clock: Clock = utc_now) -> None:
        given = records or {}
        self.records: Records = {name: [dict(row) for row in given.get(name, ())] for name in RESOURCES}
        self.clock = clock
        self.lock = threading.RLock()
        self.version = 0
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._counted: deque[datetime] = deque()
        self._selected: dict[Query, tuple[tuple[int, int], list[Record]]] = {}
        self._places: dict[str, dict[str, Record]] = {}

    def touch(self) -> None:
        """Says that `records` were changed by hand."""
        with self.lock:
            self.version += 1
            self._places.clear()

    def lookup(self, resource: str, id: str) -> list[Record]:
        """The record of that id, whatever hides it, or nothing."""
        with self.lock:
            rows = self.records[resource]
            places = self._places.get(resource, {})
            if len(places) != len(rows):
                places = self._places[resource] = {row["id"]: row for row in rows}
            return [places[id]] if id in places else []

    def find(self, resource: str, id: str) -> Record:
        """Raises KeyError."""
        for record in self.lookup(resource, id):
            return record
        raise KeyError(f"{resource} {id}")

    def select(self, query: Query) -> list[Record]:
        """The records that a query wants, remembered until something changes. Raises `Refused`."""
        with self.lock:
            rows = self.records[query.resource.name]
            state = (self.version, len(rows))
            known = self._selected.get(query)
            if known is None or known[0] != state:
                if len(self._selected) >= CACHED_QUERIES:
                    self._selected.clear()
                known = self._selected[query] = (state, query.select(rows))
            return known[1]

    def add(self, resource: str, **fields: Any) -> Record:
        """A new record; it gets an id above all others and the present time where they are not given."""
        with self.lock:
            now = timestamp(self.clock())
            rows = self.records[resource]
            record = dict.fromkeys(RESOURCES[resource].fields) | {"created_at": now, "updated_at": now} | fields
            if record["id"] is None:
                record["id"] = str(max((int(row["id"]) for row in rows), default=0) + 1)
            rows.append(record)
            self.touch()
            return record

    def change(self, resource: str, id: str, **fields: Any) -> Record:
        """Raises KeyError where there is no such record."""
        with self.lock:
            record = self.find(resource, id)
            record["updated_at"] = max(timestamp(self.clock()), record.get("updated_at") or "")
            record.update(fields)
            self.version += 1
            return record

    def archive(self, resource: str, id: str) -> Record:
        return self._mark(resource, id, "archived_at")

    def delete(self, resource: str, id: str) -> Record:
        """Softly, as Cliniko does."""
        return self._mark(resource, id, "deleted_at")

    def cancel(self, id: str, reason: int = 50, note: str | None = None) -> Record:
        """Cancels an appointment; `reason` is one of `cliniko_shapes.REASONS`."""
        marks = {"cancellation_reason": reason, "cancellation_note": note}
        return self._mark("individual_appointments", id, "cancelled_at", **marks)

    def merge(self, id: str, into: str) -> Record:
        """Makes one patient of two: `id` is archived, its appointments become those of `into`."""
        with self.lock:
            self.find("patients", into)
            merged = self._mark("patients", id, "archived_at")
            merged |= {"merged_at": merged["archived_at"], "merged_with_patient_id": into}
            moved = [row["id"] for row in self.records["individual_appointments"] if row.get("patient_id") == id]
            for appointment in moved:
                self.change("individual_appointments", appointment, patient_id=into)
            return merged

    def _mark(self, resource: str, id: str, mark: str, **fields: Any) -> Record:
        if mark not in RESOURCES[resource].hidden:
            raise ValueError(f"{resource} have no {mark}")
        return self.change(resource, id, **{mark: timestamp(self.clock())}, **fields)

    def count(self, at: datetime, path: str, query: str, limit: int, window: float) -> int | None:
        """Notes a request. None lets it pass, where fewer than `limit` passed in the `window` (seconds) before it;
        otherwise the epoch second at which the next one will."""
        with self.lock:
            span = timedelta(seconds=window)
            while self._counted and self._counted[0] <= at - span:
                self._counted.popleft()
            refused = len(self._counted) >= limit
            self.calls.append(Call(at, path, query, refused))
            if refused:
                oldest = self._counted[-limit] if limit else at
                return math.ceil((oldest + span).timestamp())
            self._counted.append(at)
            return None
