"""The stack for each test that asks; the logs of its processes where the test failed; what was lost, at the end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from syncapp.embedded.guard import Guard
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer
from syncapp.migrations.command import upgrade
from tests.faults.audit import TALLY, assert_sound
from tests.faults.stack import Stack
from tests.faults.upstream import Upstream

HERE = Path(__file__).parent
LAST_LINES = 60
FAILED = pytest.StashKey[bool]()
# Safe where processes die, not machines. Commits must outlive a kill -9 of PostgreSQL itself: no asynchronous ones.
QUICK = {"fsync": "off", "full_page_writes": "off"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, servers_home: Path, guard: Guard) -> Iterator[Stack]:
    """PostgreSQL and Valkey of the fault tests alone: they are killed, paused and flushed."""
    home = servers_home / "faults"
    folder = tmp_path_factory.mktemp("faults")
    postgres = PostgresServer(home, settings=QUICK, guard=guard)
    valkey = ValkeyServer(home, guard=guard)
    postgres.start(60)
    valkey.start(60)
    upgrade(postgres.url.replace("postgresql://", "postgresql+psycopg://"))
    with Upstream(0, 0) as nothing:
        stack = Stack(folder, guard, postgres, valkey, nothing)
        yield stack
        stack.close()
    valkey.stop()
    postgres.stop()


@pytest.fixture
def stack(servers: Stack, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Everything empty, the API up, an upstream with slow pages. After the test every run must be sound."""
    with Upstream() as servers.upstream:
        servers.upstream.slow_down()
        servers.begin()
        yield servers
        servers.upstream.hurry()
        try:
            if not request.node.stash.get(FAILED, False):
                assert_sound(servers)
                TALLY.faults += 1
        finally:
            servers.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what each process of a failed test said last."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        item.stash[FAILED] = True
        for one in stack.processes:
            lines = one.text.splitlines()[-LAST_LINES:]
            report.sections.append((f"log of {one.name}", "\n".join(lines)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was lost: the answer of `make chaos`."""
    if not TALLY.faults:
        return
    failed = [report for kind in ("failed", "error") for report in terminalreporter.getreports(kind)]
    lost = [report.nodeid for report in failed if report.nodeid.startswith("tests/faults/")]
    terminalreporter.section("what was lost")
    terminalreporter.write_line(
        f"{TALLY.faults} ways to break it, {TALLY.runs} runs, {TALLY.records:,} records compared field by field"
    )
    verdict = "; ".join(lost) if lost else "nothing: no record missing, none twice, no run stuck"
    terminalreporter.write_line(f"lost: {verdict}")
