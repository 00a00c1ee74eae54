"""The data folder: what is private, what is remembered, who may enter."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from syncapp.embedded.console import Console, Lines
from syncapp.embedded.home import PORTS, Home, HomeError, is_free, others_may_enter
from syncapp.embedded.supervisor import Backoff


def test_secrets_are_kept_private_and_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    token = home.secret("admin-token", prefix="syncapp_")
    assert token.startswith("syncapp_")
    assert len(token) > 40
    assert Home(tmp_path / "deep" / "home").secret("admin-token") == token
    assert stat.S_IMODE((home.path / "admin-token").stat().st_mode) == 0o600
    assert not stat.S_IMODE(home.path.stat().st_mode) & 0o066


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o750)
    Home(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeError, match="is not a folder"):
        Home(tmp_path / "home")
    with pytest.raises(HomeError, match="cannot be made"):
        Home(tmp_path / "home" / "below")


def test_a_port_is_kept_while_it_is_free(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    port = home.port("postgres")
    assert port in PORTS
    assert home.port("postgres") == port
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        other = home.port("postgres")
    assert other != port
    assert home.port("postgres") == other


def test_others_may_enter_only_where_every_parent_lets_them(tmp_path: Path) -> None:
    below = tmp_path / "closed" / "open"
    below.mkdir(parents=True)
    for folder in (below, *below.parents):
        if folder.stat().st_uid == os.geteuid() and tmp_path in (folder, *folder.parents):
            folder.chmod(0o755)
    outside_says = others_may_enter(tmp_path.parent)
    assert others_may_enter(below) == outside_says
    (tmp_path / "closed").chmod(0o700)
    assert not others_may_enter(below)


def test_the_lock_is_one_processes_and_ends_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    held = home.lock()
    assert held is not None
    assert home.read("lock") == str(os.getpid())
    code = (
        "import sys; from pathlib import Path; from syncapp.embedded.home import Home;"
        "print(Home(Path(sys.argv[1])).lock())"
    )
    command = [sys.executable, "-c", code, str(home.path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None\n"
    os.close(held)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout != "None\n"


def test_restarts_wait_longer_up_to_a_cap_and_anew_after_a_healthy_life() -> None:
    backoff = Backoff(first=1, cap=5, healthy_after=20)
    waits = [backoff.next(0, 0)]
    for _ in range(4):
        waits.append(backoff.next(waits[-1], 0.5))
    assert waits == [1, 2, 4, 5, 5]
    assert backoff.next(5, 20) == 1


def test_lines_are_cut_where_they_end_and_never_grow_without_bound() -> None:
    lines = Lines()
    assert lines.feed(b"one\r\ntw") == ["one"]
    assert lines.feed(b"o\n\xff\n") == ["two", "\ufffd"]
    assert lines.rest() == []
    assert [len(line) for line in lines.feed(b"x" * 70_000)] == [70_000]
    lines.feed(b"half")
    assert lines.rest() == ["half"]


def test_the_log_file_is_turned_over_and_secrets_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncapp.embedded.console.FILE_LIMIT", 200)
    log = tmp_path / "log"
    with (tmp_path / "out").open("w") as out:
        console = Console(out, log)
        console.line("syncapp", "the token", keep=False)
        for number in range(20):
            console.line("web", f"line {number}")
        console.close()
    kept = log.with_name("log.1").read_text() + log.read_text()
    assert kept.splitlines()[-1].endswith("line 19")
    assert len(log.read_text()) <= 250
    assert "the token" not in kept
    assert "the token" in (tmp_path / "out").read_text()


def test_lines_are_documents_where_json_was_asked_for(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(out, tmp_path / "log", as_json=True)
    console.line("web", 'said "so" \ufffd')
    console.line("syncapp", "ready", facts={"api": "http://127.0.0.1:8000"})
    console.close()
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"process": "web", "message": 'said "so" \ufffd'},
        {"process": "syncapp", "message": "ready", "api": "http://127.0.0.1:8000"},
    ]
    assert (tmp_path / "log").read_text().splitlines()[1] == "syncapp    | ready"
