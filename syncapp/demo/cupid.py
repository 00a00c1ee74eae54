"""The stand-in for Cupid's content API of the demo: `python -m syncapp.demo.cupid --port 4012 --properties 100`.

It serves properties, reviews and translations under /v3.0, and keeps changing some so that there is work to do.

>>> with cupid_server(properties=3) as upstream:
...     upstream.records["properties"][0]["stars"] = 5
...     upstream.fail("status", path="/v3.0/property/1641879", status=500)
"""

from __future__ import annotations

import argparse
import os
import random
import ssl
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from syncapp.demo import cupid_words as words
from syncapp.demo.cupid_api import CupidApi
from syncapp.demo.cupid_records import make_records, property_ids
from syncapp.demo.cupid_reviews import add_review
from syncapp.demo.faults import Records
from syncapp.demo.server import DemoServer, utc_now
from syncapp.demo.serving import serve
from syncapp.ports import Clock

API_KEY = "demo-key"


def cupid_server(
    properties: int = 100,
    *,
    ids: Sequence[int] | None = None,
    seed: int = 1,
    api_key: str | None = API_KEY,
    etags: bool = True,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock = utc_now,
    tls: ssl.SSLContext | None = None,
) -> DemoServer:
    """The API at `url + "/v3.0"`, with the first so many of `ids`, else of those that are shipped.

    Its `records` are `properties`, and `reviews`: for each property {hotel_id, reviews}. Both may be changed in any
    way, under `lock` where requests may be under way, and over the control routes, by `hotel_id`.
    """
    records = make_records(seed, (property_ids() if ids is None else ids)[:properties])
    server = DemoServer(records, key="hotel_id", host=host, port=port, clock=clock, tls=tls)
    server.app = CupidApi(server.records, api_key=api_key, etags=etags, clock=clock)
    return server


def change_something(records: Records, chosen: random.Random, now: datetime) -> str:
    """One thing that happens to a hotel, in place; says what it was."""
    if not records["properties"]:
        return "none, for there are no properties"
    hotel = chosen.choice(records["properties"])
    what = chosen.choice(("rating", "facility", "review"))
    if what == "rating":
        before = hotel["rating"]
        hotel["rating"] = chosen.choice([tenths / 10 for tenths in range(60, 100) if tenths / 10 != before])
        done = f"rating {before} is now {hotel['rating']}"
    elif what == "facility":
        done = _change_facility(hotel, chosen)
    else:
        done = f"a review by {add_review(records, chosen, hotel, now)['name']}"
    return f"property {hotel['hotel_id']}: {done}"


def _change_facility(hotel: dict[str, Any], chosen: random.Random) -> str:
    """One goes or comes."""
    facilities = hotel["facilities"]
    number = chosen.randint(1, len(words.FACILITIES))
    name = words.FACILITIES[number - 1]
    kept = [facility for facility in facilities if facility["facility_id"] != number]
    gone = len(kept) < len(facilities)
    facilities[:] = kept if gone else [*facilities, {"facility_id": number, "name": name}]
    return f"{'no longer' if gone else 'now with'} {name}"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m syncapp.demo.cupid", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed")
    parser.add_argument("--properties", type=int, default=100, help="the first so many of those that are shipped")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--change-every", type=float, default=10.0, metavar="SECONDS", help="0 changes nothing")
    parser.add_argument("--api-key", default=os.environ.get("CUPID_API_KEY", API_KEY), help="else CUPID_API_KEY")
    parser.add_argument("--no-etags", dest="etags", action="store_false", help="nothing can be asked conditionally")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    server = cupid_server(
        arguments.properties,
        seed=arguments.seed,
        api_key=arguments.api_key,
        etags=arguments.etags,
        host=arguments.host,
        port=arguments.port,
    )
    chosen = random.Random(arguments.seed)

    def change() -> str:
        with server.lock:
            return change_something(server.records, chosen, server.clock())

    serve(server, f"the demo's Cupid API listens on {server.url}/v3.0", change, arguments.change_every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
