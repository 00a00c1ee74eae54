"""A process of the product under test: started as the Procfile starts it, in a group of its own, its lines kept."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncapp.embedded.guard import Guard, Watched, kill_group
from syncapp.embedded.server import Command
from tests.waiting import wait_for


@dataclass
class Running:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    guard: Guard

    @classmethod
    def start(cls, name: str, command: Command, log: Path, guard: Guard) -> Running:
        with log.open("wb") as output:
            process = command.spawn(output)
        guard.watch(Watched(process.pid, signal.SIGKILL, 1))
        return cls(name, process, log, guard)

    @property
    def pid(self) -> int:
        """Its own until `close`, even after its end: a process that nobody has waited for keeps its pid and group."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Looks without taking the exit code away."""
        if self.process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def close(self) -> int:
        """kill -9 of all that is left of its group; its exit code."""
        if self.process.returncode is None:
            kill_group(self.pid)
            self.process.wait(30)
            self.guard.forget(self.pid)
        return int(self.process.returncode)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def children(self) -> list[int]:
        """The pids of a worker's pool, or of gunicorn's workers."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def says(self, pattern: str, deadline: float = 60, times: int = 1) -> None:
        """Waits until its log holds so many lines with the pattern."""

        def look() -> bool:
            if not self.alive:
                pytest.fail(f"{self.name} ended before it said {pattern!r}")
            return len(re.findall(pattern, self.text)) >= times

        wait_for(look, deadline=deadline, what=f"{pattern!r} in the log of {self.name}")

    def kill_child(self) -> None:
        """kill -9 of the pool's processes; the worker itself lives."""
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_parent(self) -> None:
        """kill -9 of the one process that was started; what it forked finds out by itself."""
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not self.alive, what=f"the death of {self.name}")

    def kill(self) -> None:
        """kill -9 of the process and all that it forked."""
        self.close()

    def pause(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def ask_to_end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.ask_to_end()
        return self.exit_code()

    def exit_code(self) -> int:
        """Waits as long for its end as platforms do that have asked for it."""
        wait_for(lambda: not self.alive, deadline=30, what=f"the end of {self.name}")
        return self.close()
