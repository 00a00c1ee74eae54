"""Appointments and their clients, in whichever order the two syncs run, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import Settings
from syncapp.commands import RunRequest, trigger_run
from syncapp.db import Database
from syncapp.demo.server import DemoServer
from syncapp.engine import Runtime, execute
from syncapp.engine.runtime import utc_now
from syncapp.registry import find_sync
from tests.integration.engine import DEFAULT, client

APPOINTMENT = {"status": "booked", "starts_at": "2025-07-01T10:00:00Z", "updated_at": "2025-06-30T12:00:00Z"}


class Practice:
    def __init__(self, database: Database, server: DemoServer) -> None:
        self.database, self.server = database, server
        settings = Settings(mock_api_url=server.url, mock_api_key=SecretStr("key"))
        self.runtime = Runtime(settings, database, find_sync, "test")

    def sync(self, name: str) -> tuple[int, ...]:
        request = RunRequest(name, full_refresh=True)
        answer = trigger_run(self.database, DEFAULT, self.runtime.settings, utc_now, request)
        assert execute(answer.sync_id, self.runtime) == "completed"
        names = ("created", "updated", "unchanged", "deleted", "failed")
        columns = ", ".join(f"records_{name}" for name in names)
        return self.query(f"SELECT {columns} FROM sync_runs WHERE sync_id = %s", answer.sync_id)[0]

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.database.connection() as connection:
            return connection.execute(statement, parameters).fetchall()

    def visits(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT a.external_id, c.external_id, c.name, c.sync_status FROM appointments a "
            "LEFT JOIN clients c ON c.id = a.client_id WHERE a.deleted_at IS NULL ORDER BY a.external_id"
        )


@pytest.fixture
def practice(database_url: str) -> Iterator[Practice]:
    database = Database(database_url)
    with DemoServer({"clients": [], "appointments": []}, api_key="key") as server:
        yield Practice(database, server)
    database.dispose()


def test_appointments_first(practice: Practice) -> None:
    practice.server.records["clients"] = [client(1), client(2)]
    practice.server.records["appointments"] = [{"id": n, "client_id": n, **APPOINTMENT} for n in (1, 2, 3)]
    assert practice.sync("appointments") == (3, 0, 0, 0, 0)
    assert practice.visits() == [(str(n), str(n), None, "pending") for n in (1, 2, 3)]
    assert practice.sync("clients") == (0, 2, 0, 0, 0)
    assert practice.visits()[0] == ("1", "1", "Client 1", "synced")
    assert practice.visits()[2] == ("3", "3", None, "pending")  # nobody knows that client, and nobody deletes it


def test_clients_first(practice: Practice) -> None:
    practice.server.records["clients"] = [client(1)]
    practice.server.records["appointments"] = [{"id": 1, "client_id": 1, **APPOINTMENT}]
    practice.sync("clients")
    assert practice.sync("appointments") == (1, 0, 0, 0, 0)
    assert practice.visits() == [("1", "1", "Client 1", "synced")]


def test_a_nested_client_creates_and_updates_without_emptying(practice: Practice) -> None:
    nested = {"id": 1, "name": "Renamed", "updated_at": "2025-07-02T00:00:00Z"}
    practice.server.records["clients"] = [client(1)]
    practice.server.records["appointments"] = [
        {"id": 1, "client": nested, **APPOINTMENT},
        {"id": 2, "client": {"id": 9, "name": "New"}, **APPOINTMENT},
    ]
    practice.sync("clients")
    practice.sync("appointments")
    found = practice.query("SELECT external_id, name, email FROM clients ORDER BY external_id")
    assert found == [("1", "Renamed", "client1@example.com"), ("9", "New", None)]


def test_a_client_removed_before_it_was_seen_is_a_deleted_row(practice: Practice) -> None:
    practice.server.records["clients"] = [client(1), client(2, deleted_at="2025-01-01T00:00:00Z")]
    practice.server.records["appointments"] = [{"id": 1, "client_id": 2, **APPOINTMENT}]
    assert practice.sync("clients") == (1, 0, 0, 1, 0)
    practice.sync("appointments")
    assert practice.sync("clients") == (0, 0, 2, 0, 0)
    found = practice.query("SELECT external_id, name, deleted_at IS NOT NULL FROM clients ORDER BY external_id")
    assert found == [("1", "Client 1", False), ("2", "Client 2", True)]


def test_a_client_that_only_appointments_know_stays(practice: Practice) -> None:
    """Whether a client is live is for the clients' own list to say, once it has named it."""
    practice.server.records["clients"] = [client(1)]
    practice.server.records["appointments"] = [
        {"id": 1, "client_id": 8, **APPOINTMENT},
        {"id": 2, "client": {"id": 9, "name": "Nested"}, **APPOINTMENT},
    ]
    practice.sync("appointments")
    practice.sync("clients")
    practice.sync("clients")
    found = practice.query("SELECT external_id, name, sync_status FROM clients WHERE deleted_at IS NULL ORDER BY 1")
    assert found == [("1", "Client 1", "synced"), ("8", None, "pending"), ("9", "Nested", "pending")]


def test_an_older_nested_client_changes_nothing(practice: Practice) -> None:
    nested = {"id": 1, "name": "Old name", "updated_at": "2020-01-01T00:00:00Z"}
    practice.server.records["clients"] = [client(1)]
    practice.server.records["appointments"] = [{"id": 1, "client": nested, **APPOINTMENT}]
    practice.sync("clients")
    practice.sync("appointments")
    assert practice.query("SELECT name FROM clients") == [("Client 1",)]
    assert practice.sync("clients") == (0, 0, 1, 0, 0)


def test_an_appointment_moves_to_another_client(practice: Practice) -> None:
    practice.server.records["clients"] = [client(1), client(2)]
    practice.server.records["appointments"] = [{"id": 1, "client_id": 1, **APPOINTMENT}]
    practice.sync("clients")
    practice.sync("appointments")
    practice.server.records["appointments"] = [{"id": 1, "client_id": 2, **APPOINTMENT}]
    assert practice.sync("appointments") == (0, 1, 0, 0, 0)
    assert practice.visits()[0][1] == "2"
    assert practice.sync("appointments") == (0, 0, 1, 0, 0)


def test_times_that_cannot_be_read_are_dead_letters(practice: Practice) -> None:
    practice.server.records["appointments"] = [
        {"id": 1, "client_id": 1, **APPOINTMENT},
        {"id": 2, "client_id": 1, **APPOINTMENT, "starts_at": "soonish"},
    ]
    assert practice.sync("appointments") == (1, 0, 0, 0, 1)
    [(key, message)] = practice.query("SELECT external_id, message FROM dead_letters")
    assert key == "2"
    assert "time" in message


def test_a_record_that_only_postgresql_refuses_is_one_dead_letter(practice: Practice) -> None:
    with practice.database.connection() as connection:
        connection.execute("ALTER TABLE appointments ADD CONSTRAINT short CHECK (length(status) < 20)")
    practice.server.records["appointments"] = [
        {"id": n, "client_id": 1, **APPOINTMENT, "status": "x" * (30 if n == 37 else 5)} for n in range(1, 101)
    ]
    assert practice.sync("appointments") == (99, 0, 0, 0, 1)
    assert practice.query("SELECT external_id FROM dead_letters") == [("37",)]
