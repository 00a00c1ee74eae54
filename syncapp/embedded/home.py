"""The data folder (SYNCAPP_HOME): its secrets, the ports it keeps, and a place that an unprivileged user may enter."""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

# Below the range from which Linux and macOS give ports to outgoing connections, so that nothing takes one meanwhile.
PORTS = range(20_000, 32_000)
OUTSIDE = ("/var/lib", "/var/tmp")  # noqa: S108  (folders are made with mkdtemp)


class HomeError(Exception):
    """The data folder cannot be used; the message says why."""


class Home:
    """The data folder, made on first use with mode 0700.

    Made by root where everybody may enter the parent folders, it gets 0711: PostgreSQL refuses to run as root, and the
    user it runs as must reach its own files. What is secret has mode 0600 in either case.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            if not self.path.exists():
                self.path.mkdir(mode=0o700, parents=True)
                if os.geteuid() == 0 and others_may_enter(self.path.parent):
                    self.path.chmod(0o711)
        except OSError as error:
            raise HomeError(f"SYNCAPP_HOME {self.path} cannot be made: {error.strerror}") from error
        if not self.path.is_dir() or not os.access(self.path, os.W_OK | os.X_OK):
            raise HomeError(f"SYNCAPP_HOME {self.path} is not a folder we may write to")

    def secret(self, name: str, *, prefix: str = "") -> str:
        """The secret kept in the file `name` (mode 0600), made on first use: 256 random bits after the prefix."""
        kept = self.read(name)
        if kept is None:
            kept = prefix + secrets.token_urlsafe(32)
            self.write(name, kept)
        return kept

    def read(self, name: str) -> str | None:
        """The file's text, None where it is missing or empty."""
        try:
            return (self.path / name).read_text().strip() or None
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> Path:
        """Replaces a file at once, never half; mode 0600."""
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        target = self.path / name
        Path(temporary).replace(target)
        return target

    def port(self, name: str) -> int:
        """The port `name` had last time where it is free, else another free one, which is remembered."""
        kept = self.read(f"{name}-port")
        if kept is not None and kept.isdigit() and is_free(int(kept)):
            return int(kept)
        port = free_port()
        self.write(f"{name}-port", str(port))
        return port

    def place_for_others(self) -> Path:
        """A folder that other users may enter: this one, else one elsewhere, which this one remembers.

        Raises HomeError where there is none.
        """
        if others_may_enter(self.path):
            return self.path
        kept = self.read("outside")
        if kept is not None:
            if not others_may_enter(Path(kept)):
                raise HomeError(f"The data of {self.path} was kept in {kept}, which is gone or closed to others")
            return Path(kept)
        for parent in (*OUTSIDE, tempfile.gettempdir()):
            if os.access(parent, os.W_OK) and others_may_enter(Path(parent)):
                made = Path(tempfile.mkdtemp(prefix="syncapp-", dir=parent))
                (made / "belongs-to").write_text(f"{self.path}\n")
                made.chmod(0o711)
                self.write("outside", str(made))
                return made
        raise HomeError(f"No folder found that PostgreSQL's user may enter; set SYNCAPP_HOME to one (not {self.path})")

    def lock(self) -> int | None:
        """Takes the folder for this process: the lock's file descriptor, None where another process has it.

        It is held as long as any process keeps that descriptor open. The file names the process.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

    def discard(self) -> None:
        """Removes the folder and everything in it, the place elsewhere too."""
        outside = self.read("outside")
        if outside is not None:
            shutil.rmtree(outside, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)


def others_may_enter(path: Path) -> bool:
    """Whether every user may pass through the folder and all its parents."""
    resolved = path.resolve()
    return all(folder.is_dir() and folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on loopback that nobody listens on. Raises HomeError."""
    for port in random.SystemRandom().sample(PORTS, 200):
        if is_free(port):
            return port
    raise HomeError(f"No free port between {PORTS.start} and {PORTS.stop}")
