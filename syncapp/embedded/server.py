"""A server of ours as a process: how it is started, known to be ready, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from syncapp.embedded.guard import Guard, Watched
from syncapp.embedded.home import Home

NOBODY = "nobody"
POLL = 0.02  # seconds between two looks at a server that starts or ends
LAST_LINES = 12  # of its log, where it does not start


class ServerFailed(Exception):
    """A server did not start or end as it should; the message holds its last lines."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a process is started.

    env          its whole environment
    user         the user it runs as, None for ours
    stop_signal  what asks the process to end in its own time
    pass_fds     descriptors it inherits under the same numbers
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    pass_fds: Sequence[int] = ()

    def spawn(self, output: int | IO[Any]) -> subprocess.Popen[bytes]:
        """Starts it as the leader of its own process group, which no Ctrl-C of a terminal reaches."""
        other: dict[str, Any] = as_user(self.user) if self.user else {}
        return subprocess.Popen(
            list(self.argv),
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self.pass_fds,
            **other,
        )


def as_user(user: str) -> dict[str, Any]:
    """What Popen needs to run as another user, from a folder which that one may enter."""
    import pwd  # POSIX only, as is everything that needs another user

    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": [], "cwd": "/"}


class Server(ABC):
    """A server with its data in `home`. One object a process; what it remembers lies in the folder.

    With a `guard`, what `start` started ends even where this process is killed.
    """

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, home: Path, *, guard: Guard | None = None) -> None:
        self.home = Home(home)
        self._guard = guard
        self.port = self.home.port(self.name)
        self.log = self.home.path / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Command:
        """How to run it in the foreground. Makes what it needs first: data folder, configuration."""

    @property
    @abstractmethod
    def data(self) -> Path:
        """The folder of its data."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address with the password."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers a question now. Raises ServerFailed where it never will."""

    @abstractmethod
    def orphan(self) -> int | None:
        """The process id of a server that still runs on this data though nobody here started it."""

    @property
    def pid(self) -> int:
        """Of the running process. Raises ServerFailed where `start` was not called or it ended."""
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_ready(self, deadline: float = 30.0) -> None:
        """Returns when it answers. Raises ServerFailed after `deadline` seconds, or at once where `start` started it
        and it ended."""
        end = time.monotonic() + deadline
        while not self.is_ready():
            if self._process is not None and self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended while it started:\n{self._last_lines()}")
            if time.monotonic() > end:
                raise ServerFailed(f"{self.name} was not ready within {deadline:g} s:\n{self._last_lines()}")
            time.sleep(POLL)

    def start(self, deadline: float = 30.0) -> None:
        """Starts it behind this process and waits until it answers. Its lines go to `log`."""
        end = time.monotonic() + deadline
        self.end_orphan()
        while True:
            command = self.command()
            with open(self.log, "ab", opener=_private) as log:
                self._process = command.spawn(log)
            if self._guard is not None:
                self._guard.watch(Watched(self._process.pid, command.stop_signal, 0))
            try:
                return self.wait_ready(max(end - time.monotonic(), 1.0))
            except ServerFailed:
                # After a kill, the last children of the dead server may hold its memory for a moment longer.
                if self.is_running() or time.monotonic() > end:
                    self.kill()
                    raise
                time.sleep(POLL * 5)

    def stop(self, deadline: float = 15.0) -> None:
        """Asks it to end and waits; kills it after `deadline` seconds."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def kill(self) -> None:
        """kill -9 of the process itself, as a crash would; its children notice by themselves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def _forget(self) -> None:
        if self._guard is not None and self._process is not None:
            self._guard.forget(self._process.pid)
        self._process = None

    def restart(self, deadline: float = 30.0) -> None:
        self.stop()
        self.start(deadline)

    def end_orphan(self, deadline: float = 15.0) -> None:
        """Ends a server that was left over on this data. Raises ServerFailed where it does not end."""
        pid = self.orphan()
        if pid is None:
            return
        end = time.monotonic() + deadline
        sent = signal.SIGINT  # both servers shut down cleanly on it
        while self.orphan() == pid:
            if time.monotonic() > end:
                raise ServerFailed(f"{self.name} still runs as process {pid} and does not end")
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, sent)
            time.sleep(POLL * 5)

    def discard(self) -> None:
        """Stops it and removes its whole data folder."""
        self.stop()
        self.home.discard()

    def _last_lines(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        except FileNotFoundError:
            return "(it printed nothing)"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def command_line(pid: int) -> str:
    """The arguments of a living process, joined by spaces; empty where there is no such process."""
    proc = Path("/proc") / str(pid) / "cmdline"
    try:
        if Path("/proc/self").exists():
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        listed = subprocess.run(
            ["/bin/ps", "-ww", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return listed.stdout.strip()
