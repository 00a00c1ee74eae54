"""Generated clients and appointments, in every form that a wellness API may send. The same seed, the same data."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from mimesis import Locale, Person

Record = dict[str, Any]
STATUSES = ("booked", "confirmed", "completed", "cancelled", "no_show")
TREATMENTS = ("Physiotherapy", "Massage", "Acupuncture", "Yoga", "Nutrition advice", "First consultation")


def timestamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _us_time(time: datetime) -> str:
    return f"{time:%m/%d/%Y} {time.hour % 12 or 12}:{time:%M} {'AM' if time.hour < 12 else 'PM'}"


def _apart(time: datetime) -> Record:
    return {"date": f"{time:%Y-%m-%d}", "time": f"{time:%H:%M}"}


# Every form in which the API may write when an appointment is; forms without a zone are UTC here.
TIME_FORMS: tuple[Callable[[datetime], Record], ...] = (
    lambda time: {"starts_at": timestamp(time)},
    lambda time: {"start_time": time.astimezone(timezone(timedelta(hours=2))).isoformat()},
    lambda time: {"scheduled_at": time.replace(tzinfo=None).isoformat()},
    lambda time: {"time": f"{time:%Y-%m-%d %H:%M}"},
    lambda time: {"start_time": _us_time(time)},
    lambda time: {"scheduled_at": format_datetime(time, usegmt=True)},
    lambda time: {"starts_at": int(time.timestamp())},
    lambda time: {"starts_at": int(time.timestamp() * 1000)},
    _apart,
)


class Wellness:
    """Makes clients and appointments whose times lie around `now`."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.random = random.Random(seed)
        self.person = Person(Locale.EN, seed=seed)
        self.now = now.replace(microsecond=0)

    def _earlier(self, days: int) -> datetime:
        return self.now - timedelta(seconds=self.random.randrange(60, days * 86_400))

    def client(self, number: int) -> Record:
        first, last = self.person.first_name(), self.person.last_name()
        updated = self._earlier(90)
        record: Record = {"id": number}
        record |= {"name": f"{first} {last}"} if number % 3 else {"first_name": first, "last_name": last}
        record |= {
            "email": f"{first}.{last}{number}@example.com".lower().replace(" ", ""),
            "phone": self.person.phone_number(mask="+1 555 ### ####"),
            "created_at": timestamp(updated - timedelta(days=30)),
            "updated_at": timestamp(updated),
        }
        if number % 50 == 0:
            record["deleted_at"] = record["updated_at"]
        return record

    def appointment(self, number: int, clients: list[Record]) -> Record:
        """One in ten names its client by a nested object instead of an id."""
        client = self.random.choice(clients)
        minutes = self.random.randrange(-30 * 96, 30 * 96) * 15
        starts = self.now.replace(minute=0, second=0) + timedelta(minutes=minutes)
        updated = self._earlier(30)
        record: Record = {"id": number}
        if number % 10 == 0:
            record["client"] = {name: value for name, value in client.items() if not name.endswith("_at")}
        else:
            record["client_id"] = client["id"]
        record |= {"status": self.random.choice(STATUSES), "treatment": self.random.choice(TREATMENTS)}
        record |= TIME_FORMS[number % len(TIME_FORMS)](starts)
        record["updated_at"] = timestamp(updated)
        if number % 80 == 0:
            record["deleted_at"] = record["updated_at"]
        return record

    def records(self, clients: int, appointments: int) -> dict[str, list[Any]]:
        people = [self.client(number) for number in range(1, clients + 1)]
        visits = [self.appointment(number, people) for number in range(1, appointments + 1)] if people else []
        return {"clients": people, "appointments": visits}

    def change_something(self, records: dict[str, list[Any]], now: datetime) -> str:
        """One thing that happens in a practice, in place; says what it was."""
        self.now = now
        clients, appointments = records["clients"], records["appointments"]
        what = self.random.choice(("client moved", "client joined", "booked", "booked", "status", "status", "removed"))
        if what == "client joined" or not clients:
            clients.append({**self.client(_next_id(clients)), "updated_at": timestamp(now)})
        elif what == "client moved":
            client = self.random.choice(clients)
            client |= {"phone": self.person.phone_number(mask="+1 555 ### ####"), "updated_at": timestamp(now)}
        elif what == "booked" or not appointments:
            appointments.append({**self.appointment(_next_id(appointments), clients), "updated_at": timestamp(now)})
        elif what == "status":
            self.random.choice(appointments).update(status=self.random.choice(STATUSES), updated_at=timestamp(now))
        else:
            self.random.choice(appointments).update(deleted_at=timestamp(now), updated_at=timestamp(now))
        return what


def _next_id(records: list[Record]) -> int:
    return max((record["id"] for record in records), default=0) + 1
