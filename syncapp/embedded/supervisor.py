"""Runs named processes in the foreground: shows their lines, starts again what dies, ends all of them together."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import FrameType

from syncapp.embedded.console import Console, ConsoleGone, Lines
from syncapp.embedded.guard import Guard, Watched, kill_group
from syncapp.embedded.home import HomeError
from syncapp.embedded.server import Command, ServerFailed

OURS = "syncapp"  # the name before the supervisor's own lines
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stage(IntEnum):
    """The higher end first; the lower are what they need until then."""

    DATABASE = 0
    BROKER = 1
    APPLICATION = 2


# Seconds each stage has to end by itself. Together they stay below the 15 s that the whole may take.
GRACE = {Stage.APPLICATION: 7.0, Stage.BROKER: 2.5, Stage.DATABASE: 3.5}


class Ended(Exception):
    """Somebody asked the supervisor to end while it waited."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before a dead process is started again: doubling from `first` to `cap`, anew after a healthy life."""

    first: float = 0.3
    cap: float = 30.0
    healthy_after: float = 20.0

    def next(self, before: float, lived: float) -> float:
        if before == 0 or lived >= self.healthy_after:
            return self.first
        return min(before * 2, self.cap)


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep alive. `command` is asked anew before every start."""

    name: str
    command: Callable[[], Command]
    stage: Stage = Stage.APPLICATION


class _Running:
    """One program and its process, None while it waits for its next start."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.stop_signal = signal.SIGTERM
        self.lines = Lines()
        self.started = 0.0
        self.delay = 0.0
        self.due = 0.0


class Supervisor:
    """Single-threaded: `wait` and `run` do the work, everything else returns at once. Use as a context manager."""

    def __init__(self, console: Console, *, backoff: Backoff | None = None, lock: int | None = None) -> None:
        self._console = console
        self._backoff = backoff or Backoff()
        self._lock = lock
        self._all: dict[str, _Running] = {}
        self._selector = selectors.DefaultSelector()
        self._asked_to_end = False

    def __enter__(self) -> Supervisor:
        self._guard = Guard(self._lock)
        self._wake, waker = socket.socketpair()
        self._waker = waker
        for end in (self._wake, waker):
            end.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        # Under nohup a hang-up is ignored and stays so.
        kept = {number for number in (signal.SIGHUP,) if signal.getsignal(number) is signal.SIG_IGN}
        ours = {*ENDING, signal.SIGCHLD} - kept
        self._before = {number: signal.signal(number, self._on_signal) for number in ours}
        self._wakeup_before = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end_everything()
        finally:
            signal.set_wakeup_fd(self._wakeup_before)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._guard.close()
            self._selector.close()
            self._wake.close()
            self._waker.close()

    def start(self, program: Program) -> None:
        self._all[program.name] = running = _Running(program)
        self._spawn(running)

    def say(self, text: str, *, keep: bool = True, facts: Mapping[str, str] | None = None) -> None:
        """Shows a line of our own; `keep=False` leaves it out of the log file, `facts` stand in JSON alone."""
        try:
            self._console.line(OURS, text, keep=keep, facts=facts)
        except ConsoleGone:
            self._asked_to_end = True

    def is_running(self, name: str) -> bool:
        return self._all[name].process is not None

    def wait(self, condition: Callable[[], bool], deadline: float, every: float = 0.05) -> bool:
        """Keeps everything going until the condition holds (True) or `deadline` seconds are over (False).

        Raises Ended where a signal asked us to end.
        """
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > end:
                return False
            self._turn(every)
            if self._asked_to_end:
                raise Ended
        return True

    def run(self) -> None:
        """Keeps everything going until a signal asks us to end."""
        while not self._asked_to_end:
            self._turn(self._next_start())

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number in ENDING:
            self._asked_to_end = True

    def _turn(self, timeout: float | None) -> None:
        """One look at what the processes wrote, which of them ended, and which are due."""
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._wake:
                with contextlib.suppress(BlockingIOError):
                    while self._wake.recv(4096):
                        pass
            else:
                self._read(key.data)
        for running in list(self._all.values()):
            self._reap(running)
            if running.process is None and not self._asked_to_end and running.due <= time.monotonic():
                self._spawn(running)

    def _next_start(self) -> float | None:
        waiting = [running.due for running in self._all.values() if running.process is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _spawn(self, running: _Running) -> None:
        program = running.program
        running.started = time.monotonic()
        try:
            command = program.command()
            process = command.spawn(subprocess.PIPE)
        except (OSError, ServerFailed, HomeError) as error:
            self._plan_restart(running, f"cannot start: {error}")
            return
        self._guard.watch(Watched(process.pid, command.stop_signal, program.stage))
        running.process, running.stop_signal = process, command.stop_signal
        running.lines = Lines()
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, running)

    def _read(self, running: _Running) -> bool:
        """Shows what a process wrote; True where there was something and may be more."""
        process = running.process
        if process is None or process.stdout is None or process.stdout.closed:
            return False
        try:
            chunk = os.read(process.stdout.fileno(), 65_536)
        except BlockingIOError:
            return False
        if not chunk:
            self._selector.unregister(process.stdout)
            process.stdout.close()
        self._show(running, running.lines.feed(chunk) if chunk else running.lines.rest())
        return bool(chunk)

    def _show(self, running: _Running, lines: list[str]) -> None:
        for line in lines:
            try:
                self._console.line(running.program.name, line)
            except ConsoleGone:
                self._asked_to_end = True

    def _reap(self, running: _Running) -> bool:
        """Whether its process has ended by now; then what it left in its group is killed and a start is planned."""
        process = running.process
        if process is None or process.poll() is None:
            return process is None
        kill_group(process.pid)
        self._guard.forget(process.pid)
        while self._read(running):
            pass
        if process.stdout is not None and not process.stdout.closed:
            self._selector.unregister(process.stdout)
            process.stdout.close()
        running.process = None
        if not self._asked_to_end:
            self._plan_restart(running, f"ended ({_how(process.returncode)})")
        return True

    def _plan_restart(self, running: _Running, what: str) -> None:
        lived = time.monotonic() - running.started
        running.delay = self._backoff.next(running.delay, lived)
        running.due = time.monotonic() + running.delay
        self.say(f"{running.program.name} {what}, starts again in {running.delay:.1f} s")

    def _end_everything(self) -> None:
        self._asked_to_end = True
        for stage in sorted(Stage, reverse=True):
            members = [running for running in self._all.values() if running.program.stage is stage]
            for running, process in _alive(members):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(running.stop_signal)
            end = time.monotonic() + GRACE[stage]
            while any(_alive(members)) and time.monotonic() < end:
                self._turn(0.1)
            for running, process in _alive(members):
                self.say(f"{running.program.name} did not end in time and is killed")
                kill_group(process.pid)
                process.wait()
            for running in members:
                self._reap(running)  # with the last that it has said


def _alive(members: list[_Running]) -> Iterator[tuple[_Running, subprocess.Popen[bytes]]]:
    for running in members:
        if running.process is not None and running.process.poll() is None:
            yield running, running.process


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
