"""The upstreams that `syncapp up` runs where none is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import load_settings
from syncapp.cli.demo import start_demos
from syncapp.embedded.home import Home


def started(home: Path, **settings: Any) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The command lines by name, and what everybody is told."""
    lines: dict[str, tuple[str, ...]] = {}
    env: dict[str, str] = {}

    def start(name: str, program: tuple[str, ...], *more: str) -> None:
        lines[name] = (*program, *more)

    start_demos(load_settings(**settings), Home(home), env, start, lambda text: None)
    return lines, env


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOCK_API_URL", "CLINIKO_API_URL", "CUPID_API_URL", "CUPID_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_everything_that_is_not_configured_is_stood_in_for(tmp_path: Path) -> None:
    lines, env = started(tmp_path)
    assert {name: line[0] for name, line in lines.items()} == {
        "demo": "syncapp.demo.wellness",
        "cliniko": "syncapp.demo.cliniko",
        "cupid": "syncapp.demo.cupid",
    }
    assert env["CUPID_API_URL"] == f"http://127.0.0.1:{lines['cupid'][-1]}/v3.0"
    assert not any(env["CUPID_API_KEY"] in line for line in lines.values())
    again = started(tmp_path)[1]
    assert again["CUPID_API_KEY"] == env["CUPID_API_KEY"] != started(tmp_path / "other")[1]["CUPID_API_KEY"]
    told = load_settings(**{name.lower(): value for name, value in env.items() if name.startswith("CUPID")})
    assert told.cupid_api_url == env["CUPID_API_URL"]


@pytest.mark.parametrize("name", ["cupid_api_key", "cupid_api_url"])
def test_who_names_the_real_cupid_gets_no_other(tmp_path: Path, name: str) -> None:
    lines, env = started(
        tmp_path, **{name: {"cupid_api_key": "k", "cupid_api_url": "https://cupid.example/v3.0"}[name]}
    )
    assert set(lines) == {"demo", "cliniko"}
    assert not any(name.startswith("CUPID") for name in env)
