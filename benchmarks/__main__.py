"""All cases side by side, printed as tables with ratios. docs/benchmarks.md says what they mean."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from benchmarks import trigger
from benchmarks.contenders import CONTENDERS, ROOT, ClientFailed, Contender
from benchmarks.loader import LoadFailed
from benchmarks.matrix import Bench, Sample
from benchmarks.records import Expected
from benchmarks.report import goals, show, show_goals, summarize
from benchmarks.server import start_server
from syncapp.embedded.guard import Guard
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer

TRIGGER = "trigger"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5, help="runs of the engine and the floor a case")
    parser.add_argument("--repeat-dlt", type=int, default=1, help="runs of dlt a case")
    parser.add_argument("--only", nargs="+", choices=[*names, TRIGGER], help="measure these alone")
    parser.add_argument("--page-sizes", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--latencies", type=int, nargs="+", default=[0, 20], help="milliseconds added to each answer")
    parser.add_argument("--requests", type=int, default=2_000, help="triggers a turn, after the warm-up")
    parser.add_argument("--starts", type=int, default=200, help="triggers whose task's start is awaited")
    parser.add_argument("--quick", action="store_true", help="20,000 records, each case twice, few triggers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to this file")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.records, asked.repeat = min(asked.records, 20_000), min(asked.repeat, 2)
        asked.requests, asked.starts = min(asked.requests, 500), min(asked.starts, 50)
    return asked


def main(arguments: list[str] | None = None) -> int:
    asked = parse(arguments)
    taking_part = choose(asked)
    tell(f"{machine()}; {asked.records:,} records")
    facts: dict[str, Any] = {"machine": machine(), "records": asked.records}
    try:
        with database_server() as (postgres, guard):
            if taking_part:
                samples = measure_matrix(asked, taking_part, postgres)
                facts["samples"] = [sample.to_json() for sample in samples]
                summary = summarize(samples)
                print("\n".join(["", *show(summary), *show_goals(list(goals(summary)))]), flush=True)
            if not asked.only or TRIGGER in asked.only:
                found = measure_trigger(asked, postgres, guard)
                facts["trigger"] = found.to_json()
                print("\n".join(["", *trigger.show(found)]))
    except (ClientFailed, LoadFailed) as error:
        print(error, file=sys.stderr)
        return 1
    if asked.json:
        asked.json.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return 0


def measure_matrix(asked: argparse.Namespace, taking_part: list[Contender], postgres: PostgresServer) -> list[Sample]:
    with page_server(asked) as facts:
        bench = Bench(
            postgres,
            facts["url"],
            {name: Expected(**values) for name, values in facts["expected"].items()},
            {one.name: asked.repeat_dlt if one.name.startswith("dlt") else asked.repeat for one in taking_part},
            tell,
        )
        return list(bench.measure(taking_part, asked.page_sizes, asked.latencies))


def measure_trigger(asked: argparse.Namespace, postgres: PostgresServer, guard: Guard) -> trigger.Measured:
    valkey = ValkeyServer(postgres.home.path, guard=guard)
    valkey.start(60)
    pages, facts = start_server(1, seed=1, page_sizes=[100], latency=0)
    try:
        stage = trigger.Stage(postgres, valkey, facts["url"], guard)
        return trigger.measure(stage, requests=asked.requests, turns=asked.repeat, starts=asked.starts, tell=tell)
    finally:
        pages.close()
        valkey.stop()


def choose(asked: argparse.Namespace) -> list[Contender]:
    """Who takes part. Says aloud who does not."""
    chosen = []
    for contender in CONTENDERS:
        if asked.only and contender.name not in asked.only:
            continue
        if not contender.is_installed():
            tell(
                f"SKIPPED: {contender.title}: `make bench` installs it; if it said why it could not, that is the reason"
            )
            continue
        chosen.append(contender)
    return chosen


@contextmanager
def database_server() -> Iterator[tuple[PostgresServer, Guard]]:
    """A PostgreSQL of our own, as durable as in production. The guard ends it even where we are killed."""
    home = Path(tempfile.mkdtemp(prefix="syncapp-bench-"))
    home.chmod(0o711)  # PostgreSQL refuses to run as root, and the user it runs as must get through
    guard = Guard()
    postgres = PostgresServer(home / "home", guard=guard)
    try:
        postgres.start(60)
        yield postgres, guard
    finally:
        postgres.discard()
        guard.close()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def page_server(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The page server in a process of its own, and what it says of itself. It ends when we do, however we do."""
    command = [sys.executable, "-m", "benchmarks.server", "--records", str(asked.records), "--page-sizes"]
    pages = subprocess.Popen(
        [*command, *map(str, asked.page_sizes), "--latency", str(max(asked.latencies) / 1000)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert pages.stdout is not None
        yield orjson.loads(pages.stdout.readline())
    finally:
        pages.communicate()


def machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
