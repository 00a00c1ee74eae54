"""A small process that outlives the supervisor by a moment and ends what it left behind, even after kill -9.

It reads from a pipe which processes there are. When the pipe closes, whoever held its other end is gone, however it
went: then every process still listed is asked to end, the highest stage first, and its group is killed after a grace.
Run as `python -m syncapp.embedded.guard`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

GRACE = 5.0  # seconds a stage has to end by itself
POLL = 0.05


class Watched(NamedTuple):
    """A process that leads its own group; a lower stage is what the higher ones need and ends after them."""

    pid: int
    stop_signal: int
    stage: int


class Guard:
    """The supervisor's end of the pipe. `lock` is a file the guard keeps open, and locked, as long as it lives."""

    def __init__(self, lock: int | None = None) -> None:
        self._lock = lock
        self._watched: dict[int, Watched] = {}
        self._process = self._spawn()

    def watch(self, process: Watched) -> None:
        self._watched[process.pid] = process
        self._send(f"watch {process.pid} {process.stop_signal} {process.stage}")

    def forget(self, pid: int) -> None:
        if self._watched.pop(pid, None) is not None:
            self._send(f"forget {pid}")

    def close(self) -> None:
        """Ends what is still watched, as a death of this process would, and the guard with it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "syncapp.embedded.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=() if self._lock is None else (self._lock,),
        )

    def _send(self, line: str) -> None:
        try:
            self._write(line)
        except BrokenPipeError:  # somebody killed the guard: another one takes over the whole list
            self._process.wait()
            self._process = self._spawn()
            for known in self._watched.values():
                self._write(f"watch {known.pid} {known.stop_signal} {known.stage}")

    def _write(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            pipe.write(line.encode() + b"\n")
            pipe.flush()


def kill_group(pid: int) -> None:
    """kill -9 of a process and everything it started that stayed in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_all(processes: Iterable[Watched]) -> None:
    """Ends processes that are not our children, stage by stage."""
    left = sorted(processes, key=lambda process: -process.stage)
    for stage in dict.fromkeys(process.stage for process in left):
        members = [process for process in left if process.stage == stage]
        for process in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, process.stop_signal)
        end = time.monotonic() + GRACE
        while any(_is_alive(process.pid) for process in members) and time.monotonic() < end:
            time.sleep(POLL)
        for process in members:
            kill_group(process.pid)


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # no /proc on this system
        return True
    return state not in {"Z", "X"}


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, Watched] = {}
    for line in sys.stdin:
        word, *numbers = line.split()
        if word == "watch":
            pid, stop_signal, stage = map(int, numbers)
            watched[pid] = Watched(pid, stop_signal, stage)
        else:
            watched.pop(int(numbers[0]), None)
    end_all(watched.values())


if __name__ == "__main__":
    main()
