"""A fleet of real processes for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncapp.demo.server import DemoServer
from syncapp.embedded.guard import Guard
from tests.e2e.described import Described, open_described
from tests.e2e.fleet import Fleet

CLIENTS = 400


@pytest.fixture
def fleet(tmp_path: Path, database_dsn: str, redis_url: str) -> Iterator[Fleet]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clients = [
        {"id": n, "name": f"Client {n}", "updated_at": (start + timedelta(minutes=n)).isoformat()}
        for n in range(1, CLIENTS + 1)
    ]
    with DemoServer({"clients": clients, "appointments": []}) as upstream:
        made = Fleet(tmp_path, database_dsn, redis_url, upstream)
        made.environment = {"EXTERNAL_API_PAGE_SIZE": "10", "EXTERNAL_API_CONCURRENCY": "1", "BATCH_RECORDS": "20"}
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def described(tmp_path: Path, guard: Guard, database_dsn: str, redis_url: str) -> Iterator[Described]:
    with open_described(tmp_path, guard, database_dsn, redis_url) as made:
        yield made
