"""The wellness API of the demo: `python -m syncapp.demo.wellness --port 4010 --clients 500 --appointments 2000`.

It serves /clients and /appointments with a Bearer key, and keeps changing some of them so that there is work to do.
"""

from __future__ import annotations

import argparse
import os
import sys

from syncapp.demo.listing import STYLES
from syncapp.demo.server import DemoServer, utc_now
from syncapp.demo.serving import serve
from syncapp.demo.wellness_records import Wellness


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m syncapp.demo.wellness", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--appointments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--style", choices=sorted(STYLES), default="total", help="how the lists are paged")
    parser.add_argument("--change-every", type=float, default=10.0, metavar="SECONDS", help="0 changes nothing")
    parser.add_argument("--api-key", default=os.environ.get("MOCK_API_KEY", "demo-key"), help="else MOCK_API_KEY")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    wellness = Wellness(arguments.seed, utc_now())
    records = wellness.records(arguments.clients, arguments.appointments)
    server = DemoServer(
        records, style=arguments.style, api_key=arguments.api_key, host=arguments.host, port=arguments.port
    )

    def change() -> str:
        with server.lock:
            return wellness.change_something(server.records, server.clock())

    serve(server, f"the demo's wellness API listens on {server.url}", change, arguments.change_every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
