"""Generated reviews of properties, as Cupid's content API sends them. The same seed and property, the same reviews."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from syncapp.demo.faults import Records

Record = dict[str, Any]
LATEST = datetime(2025, 12, 1, 12, 0, 0, tzinfo=UTC)  # a fixed day: who starts the demo again finds what was there
DAYS = 1_000
WITHOUT_ID = 0.15
NAMES = ("Ada", "Björn", "Chloé", "Dong-hyun", "Esra", "Fátima", "Giulia", "Hamish", "Łukasz", "Noor", "O'Neill", "Zoë")
TYPES = ("young couple", "mature couple", "family with young children", "solo traveller", "group of friends", "")
HEADLINES = ("Lovely stay", "Very good", "Would come again", "Fair for the price", "Disappointing", "Très bien 👍", "")
PROS = (
    "Friendly staff and a great breakfast.",
    "Right in the centre, yet quiet.\nThe bed was very comfortable.",
    "Clean room, fast WiFi & good coffee.",
    "Schöne Aussicht, tolles Frühstück.",
    "",
)
CONS = (
    "The lift was slow.",
    "No parking nearby.",
    "The room was <small> and hot.",
    "Petit-déjeuner trop cher.",
    "",
    "",
)


def make_reviews(seed: int, hotel: Record) -> list[Record]:
    """As many as the property says that it has, in any order."""
    chosen = random.Random(f"{seed} {hotel['hotel_id']} reviews")
    return [
        make_review(chosen, hotel, number, LATEST - timedelta(seconds=chosen.randrange(DAYS * 86_400)))
        for number in range(1, hotel["review_count"] + 1)
    ]


def make_review(chosen: random.Random, hotel: Record, number: int, written: datetime) -> Record:
    """Its time names no zone; some have no `review_id`."""
    review: Record = {} if chosen.random() < WITHOUT_ID else {"review_id": hotel["hotel_id"] * 1_000 + number}
    return review | {
        "average_score": min(10, max(0, round(chosen.gauss(hotel["rating"], 1.5)))),
        "country": chosen.choice(("gb", "fr", "es", "de", "us", "nl", "")),
        "type": chosen.choice(TYPES),
        "name": chosen.choice(NAMES),
        "date": f"{written:%Y-%m-%d %H:%M:%S}",
        "headline": chosen.choice(HEADLINES),
        "language": chosen.choice(("en", "en", "fr", "es", "de")),
        "pros": chosen.choice(PROS),
        "cons": chosen.choice(CONS),
        "source": "Nuitee",
    }


def add_review(records: Records, chosen: random.Random, hotel: Record, now: datetime) -> Record:
    """A new one, which the property counts."""
    kept = next((row for row in records["reviews"] if row["hotel_id"] == hotel["hotel_id"]), None)
    if kept is None:
        kept = {"hotel_id": hotel["hotel_id"], "reviews": []}
        records["reviews"].append(kept)
    review = make_review(chosen, hotel, len(kept["reviews"]) + 1, now)
    kept["reviews"].append(review)
    hotel["review_count"] = len(kept["reviews"])
    return review
