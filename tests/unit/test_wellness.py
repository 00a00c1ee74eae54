"""What the wellness API sends, made fit for its tables (contract, section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings
from syncapp.db import Database
from syncapp.definition import SourceContext
from syncapp.engine.runtime import utc_now
from syncapp.errors import InvalidRecord
from syncapp.guards.rate_limit import LocalRateLimit
from syncapp.syncs.wellness import normalize_appointments, normalize_clients
from tests.rest import UNUSED

CONTEXT = SourceContext(
    Settings(source_timezone="Europe/Berlin"), "default", "default", utc_now, LocalRateLimit(), Database(UNUSED)
)
client = normalize_clients(CONTEXT)
appointment = normalize_appointments(CONTEXT)
STARTS = "2025-06-30T12:00:00.000000Z"


def test_a_client_by_name_or_by_its_parts() -> None:
    assert client({"id": 7, "name": " Ada  "}).values == ("Ada", None, None, None)
    row = client(
        {
            "id": "x",
            "first_name": "Ada",
            "last_name": "L",
            "email": "a@b.c",
            "phone": 5550100,
            "updated_at": "2025-06-30T12:00:00Z",
        }
    )
    assert row == ("x", ("Ada L", "a@b.c", "5550100", STARTS), STARTS, False, None, False)


@pytest.mark.parametrize("mark", [{"deleted": True}, {"deleted_at": "2025-01-01"}, {"archived_at": "2025-01-01"}])
def test_removal_marks(mark: dict[str, Any]) -> None:
    assert client({"id": 1} | mark).deleted


@pytest.mark.parametrize("mark", [{"deleted": False}, {"deleted_at": None}, {"archived_at": ""}, {"deleted": "false"}])
def test_marks_that_are_not_set(mark: dict[str, Any]) -> None:
    assert not client({"id": 1} | mark).deleted


@pytest.mark.parametrize(
    "time",
    [
        {"starts_at": "2025-06-30T14:00:00"},
        {"start_time": "2025-06-30 14:00"},
        {"scheduled_at": "06/30/2025 2:00 PM"},
        {"time": 1751284800},
        {"date": "2025-06-30", "time": "14:00"},
        {"date": "06/30/2025", "time": "2:00 PM"},
        {"date": "2025-06-30", "time": "2:00 PM"},
        {"date": "2025-06-30", "time": "14:00+02:00"},
        {"date": "2025-06-30", "time": "2025-06-30T14:00:00"},
        {"date": "2025-06-30", "time": 1751284800},
        {"date": "2025-06-30", "start_time": "14:00"},
        {"date": "2025-06-30", "starts_at": "14:00:00"},
        {"date": "06/30/2025", "scheduled_at": "2:00 PM"},
        {"date": "2025-06-30T00:00:00Z", "time": "14:00"},
        {"date": "2025-06-30T00:00:00.000+02:00", "time": "14:00"},
        {"date": "2025-06-30 00:00", "time": "2:00 PM"},
        {"starts_at": None, "time": "2025-06-30T12:00:00Z"},
    ],
)
def test_an_appointments_time_in_every_form(time: dict[str, Any]) -> None:
    assert appointment({"id": 1, "client_id": 2, "status": "booked"} | time).values == ("2", "booked", STARTS, None)


def test_a_nested_client_comes_along() -> None:
    row = appointment({"id": 1, "client": {"id": 5, "name": "Ada"}, "starts_at": "2025-06-30T12:00:00Z"})
    assert row.values[0] == "5"
    assert row.related is not None
    assert row.related["client_id"].values[0] == "Ada"


@pytest.mark.parametrize("nested", [{}, {"name": "no id"}, {"id": None}, {"id": ""}, "Ada", []])
def test_a_nested_client_without_an_id_leaves_the_client_id(nested: Any) -> None:
    row = appointment({"id": 1, "client_id": 7, "client": nested, "starts_at": "2025-06-30T14:00:00"})
    assert (row.values[0], row.related) == ("7", None)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": 1, "client_id": 2},
        {"id": 1, "client_id": 2, "date": "2025-06-30"},
        {"id": 1, "client_id": 2, "time": "14:00"},
        {"id": 1, "client_id": 2, "date": "2025-06-29T22:00:00Z", "time": "14:00"},
        {"id": 1, "client_id": 2, "time": "soon"},
        {"id": 1, "starts_at": 1751284800},
        {"id": 1, "client": {"name": "no id"}, "starts_at": 1751284800},
        {"id": 1, "client": "x", "starts_at": 1751284800},
        {"id": None},
        {"id": ""},
        {"id": 1.5},
        {"id": {}},
        [],
        "x",
        1,
        None,
    ],
)
def test_appointments_that_cannot_be_used(record: Any) -> None:
    with pytest.raises(InvalidRecord):
        appointment(record)
