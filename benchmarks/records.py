"""The records that everybody reads: the same ones for the same seed, about 450 bytes of JSON each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

DATA_SETS = ("base", "changed")
CHANGED_EVERY = 100  # of so many records one differs in the data set `changed`
CHANGE = {"status": "changed", "updated_at": "2025-06-30T12:00:00Z"}
FIRST_NAMES = ("Ada", "Bruno", "Chloé", "Dmitri", "Elif", "Farah", "Goran", "Hana", "Ines", "Jörg", "Keiko", "Luis")
LAST_NAMES = ("Abel", "Brandt", "Cortez", "Dubois", "Ekström", "Ferrari", "Großmann", "Haddad", "Ivanova", "Jansen")
CITIES = ("Aarhus", "Bologna", "Córdoba", "Düsseldorf", "Edinburgh", "Fukuoka", "Gothenburg", "Hamburg", "Izmir")
STATUSES = ("new", "active", "paused", "closed")
WORDS = (
    "asked",
    "about",
    "the",
    "next",
    "appointment",
    "prefers",
    "mornings",
    "paid",
    "by",
    "card",
    "speaks",
    "French",
)


class Expected(NamedTuple):
    """What a table must hold that was filled from a data set."""

    records: int
    visits: int
    newest: str


def make_records(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Records of the data set `base`, in the order of their ids."""
    draw = random.Random(seed)
    for number in range(1, count + 1):
        first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
        yield {
            "id": f"rec-{number:08d}",
            "name": f"{first} {last}",
            "email": f"{first.lower()}.{last.lower()}.{number}@example.org",
            "phone": f"+49 30 {draw.randrange(10**7):07d}",
            "city": draw.choice(CITIES),
            "status": draw.choice(STATUSES),
            "notes": " ".join(draw.choices(WORDS, k=28)),
            "visits": draw.randrange(500),
            "balance": draw.randrange(-50_000, 500_000) / 100,
            "active": draw.random() < 0.8,
            "created_at": _time(2020 + draw.randrange(4), draw),
            "updated_at": _time(2024, draw),
        }


class DataSet:
    """The records of one data set as JSON, and what they come to."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.expected = Expected(0, 0, "")

    def add(self, record: dict[str, Any], line: bytes) -> None:
        known = self.expected
        self.lines.append(line)
        self.expected = Expected(
            known.records + 1, known.visits + record["visits"], max(known.newest, record["updated_at"])
        )

    def bodies(self, page_size: int) -> Iterator[bytes]:
        """One answer a page: `{"data": […], "page": n, "per_page": n, "total": n}`."""
        for first in range(0, len(self.lines), page_size):
            joined = b",".join(self.lines[first : first + page_size])
            number = first // page_size + 1
            yield b'{"data":[%b],"page":%d,"per_page":%d,"total":%d}' % (joined, number, page_size, len(self.lines))


def make_data_sets(count: int, seed: int) -> dict[str, DataSet]:
    base, changed = DataSet(), DataSet()
    for position, record in enumerate(make_records(count, seed)):
        line = bytes(memoryview(orjson.dumps(record)))  # a copy of its own size: orjson's has room to spare
        base.add(record, line)
        if position % CHANGED_EVERY:
            changed.add(record, line)
        else:
            other = record | CHANGE | {"visits": record["visits"] + 1}
            changed.add(other, orjson.dumps(other))
    return dict(zip(DATA_SETS, (base, changed), strict=True))


def _time(year: int, draw: random.Random) -> str:
    day, month, hour = draw.randrange(1, 29), draw.randrange(1, 13), draw.randrange(24)
    return f"{year}-{month:02d}-{day:02d}T{hour:02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}Z"
