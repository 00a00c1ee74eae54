"""Generated properties, as Cupid's content API sends them. The same seed and id, the same property."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from syncapp.demo import cupid_words as words
from syncapp.demo.cupid_reviews import make_reviews
from syncapp.demo.faults import Records

Record = dict[str, Any]


def property_ids() -> list[int]:
    """Those that are followed unless others are configured."""
    return [int(line) for line in files("syncapp.connectors").joinpath("cupid/property_ids.txt").read_text().split()]


def make_records(seed: int, ids: Sequence[int]) -> Records:
    """`properties`, and `reviews`: for each property {hotel_id, reviews}, in any order. Both by `hotel_id`."""
    properties = [make_property(seed, hotel_id) for hotel_id in ids]
    return {
        "properties": properties,
        "reviews": [{"hotel_id": record["hotel_id"], "reviews": make_reviews(seed, record)} for record in properties],
    }


def make_property(seed: int, hotel_id: int) -> Record:
    """One of 50 to 150 kB. Where it knows nothing it says "", null or an empty list, as the service does."""
    chosen = random.Random(f"{seed} {hotel_id}")
    photos = _photos(chosen, hotel_id, words.PICTURES, chosen.randint(50, 82))
    photos[0]["main_photo"] = True
    type_id, hotel_type = chosen.choice(words.HOTEL_TYPES)
    chain_id, chain = chosen.choice(words.CHAINS)
    return {
        "hotel_id": hotel_id,
        "cupid_id": hotel_id,
        "main_image_th": photos[0]["url"].replace("/hotels/", "/thumbnails/"),
        "hotel_type": hotel_type,
        "hotel_type_id": type_id,
        "chain": chain,
        "chain_id": chain_id,
        **_place(chosen),
        "stars": chosen.randint(0, 5),
        "rating": round(chosen.uniform(6, 9.6), 1),
        "review_count": 20 + int(280 * chosen.random() ** 2),
        "checkin": _checkin(chosen),
        "parking": chosen.choice(words.PARKING),
        "group_room_min": chosen.choice((None, None, 5, 10)),
        "child_allowed": chosen.random() < 0.9,
        "pets_allowed": chosen.random() < 0.4,
        "photos": photos,
        **_facilities_and_policies(chosen),
        "rooms": [_room(chosen, hotel_id, number) for number in range(1, chosen.randint(5, 9) + 1)],
        "reviews": None,
    }


def _place(chosen: random.Random) -> Record:
    """Where it is, what it is called, how to reach it, and what is said about it."""
    city, country, latitude, longitude, airport = chosen.choice(words.CITIES)
    name = chosen.choice(words.HOTEL_NAMES).format(city) + chosen.choice(words.HOTEL_NAME_ENDS)
    parts = [(heading, _sentences(chosen, name, city)) for heading in words.HEADINGS]
    return {
        "latitude": round(latitude + chosen.uniform(-0.05, 0.05), 6),
        "longitude": round(longitude + chosen.uniform(-0.05, 0.05), 6),
        "hotel_name": name,
        "phone": f"+{chosen.randint(10**10, 10**11 - 1)}",
        "fax": chosen.choice(("", f"+{chosen.randint(10**10, 10**11 - 1)}")),
        "email": chosen.choice(("", f"reservations{chosen.randrange(1000)}@example.com")),
        "address": {
            "address": f"{chosen.randint(1, 250)} {chosen.choice(words.STREETS)}",
            "city": city,
            "state": chosen.choice(("", "", "Central")),
            "country": country,
            "postal_code": chosen.choice(("", f"{chosen.randrange(100_000):05}")),
        },
        "airport_code": airport,
        "description": "".join(f"<p><strong>{heading}</strong><br/>{_html(text)}</p>" for heading, text in parts),
        "markdown_description": "\n\n".join(f"**{heading}**\n\n{text}" for heading, text in parts),
        "important_info": chosen.choice(("", f"<ul><li>{_html(_sentences(chosen, name, city))}</li></ul>")),
    }


def _sentences(chosen: random.Random, name: str, city: str) -> str:
    wanted = chosen.sample(words.SENTENCES, 3)
    return " ".join(text.format(name=name, city=city, number=chosen.randint(5, 60)) for text in wanted)


def _html(text: str) -> str:
    return text.replace("&", "&amp;")


def _checkin(chosen: random.Random) -> Record:
    """Instructions are texts, objects, or some of both."""
    instructions: list[Any] = chosen.sample(words.INSTRUCTIONS, chosen.choice((0, 2, 3)))
    objects = chosen.choice((0, len(instructions), 1))
    for place, text in enumerate(instructions[:objects]):
        instructions[place] = {"id": chosen.randrange(1, 10_000), "instruction": text}
    return {
        "checkin_start": chosen.choice(("14:00", "15:00", "16:00")),
        "checkin_end": chosen.choice(("", "23:00")),
        "checkout": chosen.choice(("10:00", "11:00", "12:00")),
        "instructions": instructions,
        "special_instructions": chosen.choice(("", "Front desk staff will greet guests on arrival.")),
    }


def _photos(chosen: random.Random, hotel_id: int, pictures: Sequence[tuple[str, str, str, int]], count: int) -> Any:
    photos = []
    for order in range(1, count + 1):
        description, first, second, class_id = chosen.choice(pictures)
        file = f"{hotel_id}/{chosen.getrandbits(64):016x}.jpg"
        photos.append(
            {
                "url": f"https://photos.cupid.example/hotels/{file}",
                "hd_url": f"https://photos.cupid.example/hotels/hd/{file}",
                "image_description": description,
                "image_class1": first,
                "image_class2": second,
                "main_photo": False,
                "score": round(chosen.uniform(0, 5), 2),
                "class_id": class_id,
                "class_order": order,
            }
        )
    return photos


def _facilities_and_policies(chosen: random.Random) -> Record:
    facilities = chosen.sample(list(enumerate(words.FACILITIES, 1)), chosen.randint(20, 36))
    policies = chosen.sample(words.POLICIES, chosen.randint(2, 4))
    return {
        "facilities": [{"facility_id": number, "name": name} for number, name in facilities],
        "policies": [
            {
                "policy_type": kind,
                "name": name,
                "description": description,
                "child_allowed": "yes" if kind == "POLICY_CHILDREN" else "",
                "pets_allowed": "no" if kind == "POLICY_HOTEL_PETS" else "",
                "parking": "",
                "id": chosen.randrange(1, 10**7),
            }
            for kind, name, description in policies
        ],
    }


def _room(chosen: random.Random, hotel_id: int, number: int) -> Record:
    """Some rooms say nothing of views."""
    adults, children = chosen.randint(1, 4), chosen.randint(0, 2)
    size = chosen.randint(12, 60)
    kind, extra = chosen.choice(words.ROOM_KINDS), chosen.choice(words.ROOM_EXTRAS)
    amenities = chosen.sample(list(enumerate(words.AMENITIES, 1)), chosen.randint(24, 36))
    beds = chosen.sample(words.BEDS, chosen.randint(1, 2))
    room = {
        "id": hotel_id * 100 + number,
        "room_name": f"{chosen.choice(words.ROOM_GRADES)} {kind}{extra}",
        "description": chosen.choice(("", f"<p>{_html(_sentences(chosen, kind, 'the city'))}</p>")),
        "room_size_square": chosen.choice((size, size, float(size), size + 0.5)),
        "room_size_unit": "m2",
        "hotel_id": str(hotel_id),
        "max_adults": adults,
        "max_children": children,
        "max_occupancy": adults + children,
        "bed_relation": "OR" if len(beds) > 1 else "NONE",
        "bed_types": [
            {"quantity": chosen.randint(1, 2), "bed_type": name, "bed_size": width, "id": id}
            for id, name, width in beds
        ],
        "room_amenities": [
            {"amenities_id": id, "name": name, "sort": place} for place, (id, name) in enumerate(amenities, 1)
        ],
        "photos": _photos(chosen, hotel_id, words.ROOM_PICTURES, chosen.randint(12, 28)),
    }
    if chosen.random() < 0.7:
        views = chosen.sample(list(enumerate(words.VIEWS, 1)), chosen.randint(0, 2))
        room["views"] = [{"id": id, "view": view} for id, view in views]
    return room
