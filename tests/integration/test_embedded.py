"""The embedded servers, started, killed and started again for real."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from syncapp.embedded.home import Home
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.server import Server, ServerFailed, command_line
from syncapp.embedded.valkey import ValkeyServer
from tests.waiting import wait_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def homes(servers_home: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for homes of this test; every home in it is discarded afterwards."""
    folder = servers_home / request.node.name.replace("[", "-").replace("]", "")
    folder.mkdir(mode=0o711)
    yield folder
    for home in folder.iterdir():
        Home(home).discard()


@pytest.fixture
def started() -> Iterator[list[Server]]:
    """Servers put here are stopped after the test."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.stop()


def rows(server: PostgresServer) -> int:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    return row[0] if row else 0


def keep_a_row(server: PostgresServer) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO kept DEFAULT VALUES")


def test_postgres_keeps_port_and_rows_over_kill_and_restart(homes: Path, started: list[Server]) -> None:
    server = PostgresServer(homes / "a")
    started.append(server)
    server.start()
    keep_a_row(server)
    url = server.url
    server.kill()
    server.start()
    assert server.url == url
    assert rows(server) == 1
    server.stop()
    again = PostgresServer(homes / "a")
    started.append(again)
    again.start()
    assert again.url == url
    assert rows(again) == 1


def test_postgres_stops_at_once_with_a_client_connected(homes: Path, started: list[Server]) -> None:
    server = PostgresServer(homes / "a")
    started.append(server)
    server.start()
    with psycopg.connect(server.url) as connection:
        pid = server.pid
        server.stop(deadline=60)
        assert command_line(pid) == ""
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert "database system is shut down" in server.log.read_text()


def test_a_stale_postmaster_pid_of_another_living_process_prevents_nothing(homes: Path, started: list[Server]) -> None:
    server = PostgresServer(homes / "a")
    started.append(server)
    server.start()
    keep_a_row(server)
    pidfile = next(homes.glob("a/postgres/postmaster.pid"))
    text = pidfile.read_text()
    server.kill()
    pidfile.write_text(text.replace(text.splitlines()[0], str(os.getpid()), 1))
    server.start()
    assert rows(server) == 1


@pytest.mark.parametrize("kind", [PostgresServer, ValkeyServer])
def test_a_server_left_over_on_the_same_data_is_ended_first(
    homes: Path, started: list[Server], kind: type[Server]
) -> None:
    first, second = kind(homes / "a"), kind(homes / "a")
    started += [first, second]
    first.start()
    left_over = first.pid
    assert second.orphan() == left_over
    second.start()
    wait_for(lambda: not first.is_running(), what="the end of the one left over")
    assert second.is_ready()
    assert second.orphan() is None


def test_one_left_over_may_end_by_itself_meanwhile(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_ended(*_: int) -> None:
        raise ProcessLookupError

    server, seen = ValkeyServer(homes / "a"), iter([1_000, 1_000, None])
    monkeypatch.setattr(os, "kill", has_ended)
    monkeypatch.setattr(server, "orphan", lambda: next(seen))
    server.end_orphan()
    assert next(seen, "asked until it had ended") == "asked until it had ended"


def test_an_interrupted_initdb_is_begun_anew(homes: Path, started: list[Server]) -> None:
    server = PostgresServer(homes / "a")
    started.append(server)
    (homes / "a" / "postgres.new").mkdir()
    (homes / "a" / "postgres.new" / "PG_VERSION").write_text("18")
    server.start()
    assert not (homes / "a" / "postgres.new").exists()
    assert server.is_ready()


def test_a_lost_password_is_said(homes: Path, started: list[Server]) -> None:
    server = PostgresServer(homes / "a")
    started.append(server)
    server.start()
    server.stop()
    (homes / "a" / "postgres-password").unlink()
    other = PostgresServer(homes / "a")
    started.append(other)
    with pytest.raises(ServerFailed, match="postgres-password"):
        other.start()
    assert not other.is_running()


@pytest.mark.parametrize("kind", [PostgresServer, ValkeyServer])
def test_two_homes_run_at_once(homes: Path, started: list[Server], kind: type[Server]) -> None:
    one, two = kind(homes / "one"), kind(homes / "two")
    started += [one, two]
    one.start()
    two.start()
    assert one.url != two.url
    assert one.is_ready()
    assert two.is_ready()


def test_valkey_keeps_what_it_acknowledged_over_kill(homes: Path, started: list[Server]) -> None:
    server = ValkeyServer(homes / "a")
    started.append(server)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        for number in range(1000):
            client.rpush("queue", number)
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.llen("queue") == 1000


@pytest.mark.parametrize("kind", [PostgresServer, ValkeyServer])
def test_neither_passwords_nor_other_addresses_are_open(
    homes: Path, started: list[Server], kind: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = kind(homes / "a")
    started.append(server)
    server.start()
    password = (homes / "a" / f"{server.name}-password").read_text().strip()
    assert len(password) >= 32
    assert password not in command_line(server.pid)
    assert "127.0.0.1" in command_line(server.pid)
    assert password not in server.log.read_text()
    for path in (homes / "a").iterdir():
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    monkeypatch.setattr(server, "_password", "wrong")
    with pytest.raises(ServerFailed, match="password"):
        server.is_ready()


@AS_ROOT
@pytest.mark.slow
def test_a_closed_checkout_is_left_closed(homes: Path, started: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the wheel nor the home may be entered by others, as in a checkout below /root."""
    closed = homes / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("syncapp.embedded.postgres._may_run", lambda program, user: "postgres-18" in str(program))
    server = PostgresServer(closed / "home")
    started.append(server)
    server.start()
    keep_a_row(server)
    outside = Path((closed / "home" / "outside").read_text().strip())
    assert (outside / "belongs-to").read_text().strip() == str(closed / "home")
    assert str(outside / "postgres-18") in command_line(server.pid)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE((closed / "home").stat().st_mode) == 0o700
    server.stop()
    again = PostgresServer(closed / "home")
    started.append(again)
    again.start()
    assert rows(again) == 1
    again.discard()
    assert not outside.exists()
