"""Fixtures of the tests that need a database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.api import Api, open_api
from tests.integration.cli import Shell, open_shell
from tests.integration.cliniko import Practice, open_practice
from tests.integration.engine import MakeWorld, World, make_world


@pytest.fixture
def make(database_url: str) -> Iterator[MakeWorld]:
    worlds: list[World] = []

    def build(records: list[Any], **settings: Any) -> World:
        worlds.append(make_world(database_url, records, **settings))
        return worlds[-1]

    yield build
    for world in worlds:
        world.database.dispose()


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[Api]:
    with open_api(database_url, redis_url) as made:
        yield made


@pytest.fixture
def shell(database_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    with open_shell(database_dsn, monkeypatch) as made:
        yield made


@pytest.fixture
def practice(database_url: str, redis_url: str) -> Iterator[Practice]:
    with open_practice(database_url, redis_url) as made:
        yield made
