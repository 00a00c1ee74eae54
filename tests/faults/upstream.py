"""The upstream of the fault tests: records whose truth is known, in small pages that take as long as a test wants."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from syncapp.demo.exchange import Answer, Request
from syncapp.demo.listing import Listing
from syncapp.demo.server import DemoServer
from syncapp.demo.wellness_records import STATUSES, TIME_FORMS, timestamp

Record = dict[str, Any]
Fields = tuple[Any, ...]

CLIENTS, APPOINTMENTS = 1_200, 2_000
PAGE = 20
SLOW = 0.15  # seconds a page takes while a test breaks something: two are read at once, so clients take 4.5 s
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_client(number: int) -> Record:
    """One in 40 is marked as removed, one in 97 cannot be used."""
    updated = timestamp(START + timedelta(minutes=number))
    name = {"name": f"Client {number}"} if number % 3 else {"first_name": "Client", "last_name": f"{number}"}
    record = {"id": number, **name, "email": f"c{number}@example.com", "phone": f"+1 555 {number:07d}"}
    if number % 40 == 0:
        record["deleted_at"] = updated
    elif number % 97 == 0:
        record["email"] = {"not": "a text"}
    return record | {"updated_at": updated}


def is_live(record: Record) -> bool:
    return "deleted_at" not in record


def is_good(record: Record) -> bool:
    return record.get("email") != {"not": "a text"} and record.get("time") != "soon"


class Upstream(DemoServer):
    """A `DemoServer` over clients and appointments. `delay` is what every answer takes, in seconds."""

    def __init__(self, clients: int = CLIENTS, appointments: int = APPOINTMENTS) -> None:
        self.delay = 0.0
        self.starts: dict[int, datetime] = {}
        self._random = random.Random(7)
        people = [make_client(number) for number in range(1, clients + 1)]
        usable = [person for person in people if is_live(person) and is_good(person)]
        visits = [self._appointment(number, usable) for number in range(1, appointments + 1)] if usable else []
        super().__init__({"clients": people, "appointments": visits}, app=self._answer_late)
        self._listing = Listing(self.records)

    def _answer_late(self, request: Request) -> Answer:
        return replace(self._listing(request), delay=self.delay)

    def _appointment(self, number: int, people: list[Record]) -> Record:
        """One in 10 carries its client, one in 80 is marked as removed, one in 101 has a time that nobody can read."""
        client = self._random.choice(people)
        record: Record = {"id": number, "status": self._random.choice(STATUSES)}
        record |= {"client": dict(client)} if number % 10 == 0 else {"client_id": client["id"]}
        self.starts[number] = START + timedelta(minutes=15 * self._random.randrange(20_000))
        record |= {"time": "soon"} if number % 101 == 0 else TIME_FORMS[number % len(TIME_FORMS)](self.starts[number])
        updated = timestamp(START + timedelta(minutes=number))
        if number % 80 == 0:
            record["deleted_at"] = updated
        return record | {"updated_at": updated}

    def slow_down(self) -> None:
        self.delay = SLOW

    def hurry(self) -> None:
        self.delay = 0.0

    def live(self, resource: str) -> list[Record]:
        return [record for record in self.records[resource] if is_live(record) and is_good(record)]

    def bad(self, resource: str) -> list[Record]:
        return [record for record in self.records[resource] if not is_good(record)]

    def truth(self, resource: str) -> dict[str, Fields]:
        """Every field of every live record, by key, as the table must show it. Read without the product's help."""
        read = self._client_fields if resource == "clients" else self._appointment_fields
        return {str(record["id"]): read(record) for record in self.live(resource)}

    def _client_fields(self, record: Record) -> Fields:
        name = record.get("name") or f"{record['first_name']} {record['last_name']}"
        return name, record["email"], record["phone"], datetime.fromisoformat(record["updated_at"])

    def _appointment_fields(self, record: Record) -> Fields:
        client = record["client"]["id"] if "client" in record else record["client_id"]
        updated = datetime.fromisoformat(record["updated_at"])
        return str(client), record["status"], self.starts[record["id"]], updated

    def change(self, count: int, resource: str = "clients") -> None:
        """Changes so many live records, as if that happened in the practice just now."""
        field = "phone" if resource == "clients" else "status"
        with self.lock:
            for record in self.live(resource)[:count]:
                record |= {field: f"changed {record['id']}", "updated_at": timestamp(datetime.now(UTC))}
