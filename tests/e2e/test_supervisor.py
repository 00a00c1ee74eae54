"""The supervisor over real, small processes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_for

LIVES = "import os, time; print('pid', os.getpid()); time.sleep(600)"
DIES = "import os; print('pid', os.getpid()); raise SystemExit(3)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);print('pid', os.getpid()); time.sleep(600)"
)
PARENT = (
    "import os, subprocess, sys, time;"
    f"child = subprocess.Popen([sys.executable, '-u', '-c', {STUBBORN!r}]);"
    "print('pid', os.getpid()); time.sleep(600)"
)


class Supervised:
    """A supervisor in a process of its own; its output goes to a file."""

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        self.output = folder / "output"
        self.log = folder / "log"
        script = Path(__file__).with_name("supervised.py")
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(script), json.dumps(programs), str(self.log)],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self.seen: set[psutil.Process] = set()

    def lines(self, name: str) -> list[str]:
        text = self.output.read_text()
        return [line.partition("| ")[2] for line in text.splitlines() if line.split(" ")[0] == name]

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[1]) for line in self.lines(name) if line.startswith("pid ")]

    def wait_for_pids(self, name: str, count: int = 1) -> list[int]:
        return wait_for(lambda: pids if len(pids := self.pids(name)) >= count else None, what=f"start of {name}")

    def remember_children(self) -> None:
        self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))

    def left_over(self) -> list[psutil.Process]:
        return [child for child in self.seen if child.is_running() and child.status() not in {"zombie", "dead"}]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Supervised]]:
    made: list[Supervised] = []

    def start(programs: dict[str, str]) -> Supervised:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Supervised(folder, programs))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(30)
        assert not one.left_over()


def test_lines_carry_the_name_and_are_kept_in_a_private_file(supervise: Callable[..., Supervised]) -> None:
    one = supervise(
        {"talker": "print('one'); print('two'); print('no end', end='', flush=True); import time; time.sleep(600)"}
    )
    wait_for(lambda: one.lines("talker") == ["one", "two"])
    assert "\x1b[" not in one.output.read_text()
    assert "talker     | two" in one.log.read_text()
    assert stat.S_IMODE(one.log.stat().st_mode) == 0o600
    one.process.terminate()
    assert one.process.wait(30) == 0
    assert "no end" in one.lines("talker")


def test_what_dies_is_started_again_and_later_each_time(supervise: Callable[..., Supervised]) -> None:
    one = supervise({"dies": DIES, "lives": LIVES})
    living = one.wait_for_pids("lives")
    assert len(set(one.wait_for_pids("dies", 4))) >= 4
    said = [line for line in one.lines("syncapp") if line.startswith("dies ended (exit code 3)")]
    waits = [float(line.split()[-2]) for line in said]
    assert waits == sorted(waits)
    assert max(waits) <= 0.4
    assert one.pids("lives") == living


def test_a_killed_process_comes_back_and_its_children_go(supervise: Callable[..., Supervised]) -> None:
    one = supervise({"parent": PARENT})
    first = one.wait_for_pids("parent", 2)  # the parent's and its child's
    one.remember_children()
    os.kill(first[1] if psutil.Process(first[0]).ppid() != one.process.pid else first[0], signal.SIGKILL)
    wait_for(lambda: len(one.pids("parent")) >= 4, what="the second pair")
    wait_for(lambda: all(not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie" for pid in first))
    assert "parent ended (signal SIGKILL), starts again in 0.1 s" in one.lines("syncapp")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(supervise: Callable[..., Supervised], number: signal.Signals) -> None:
    says = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('ends'), sys.exit(0)));"
        "print('up'); time.sleep(600)"
    )
    one = supervise({"database": says, "broker": says, "web": says, "worker": says})
    for name in ("database", "broker", "web", "worker"):
        wait_for(lambda name=name: one.lines(name) == ["up"])
    one.remember_children()
    one.process.send_signal(number)
    assert one.process.wait(60) == 0
    ended = [line.split()[0] for line in one.output.read_text().splitlines() if line.endswith("| ends")]
    assert sorted(ended[:2]) == ["web", "worker"]
    assert ended[2:] == ["broker", "database"]
    wait_for(lambda: not one.left_over())


@pytest.mark.slow
def test_what_does_not_end_is_killed(supervise: Callable[..., Supervised]) -> None:
    one = supervise({"stubborn": STUBBORN, "parent": PARENT})
    one.wait_for_pids("stubborn")
    one.wait_for_pids("parent", 2)
    one.remember_children()
    one.process.terminate()
    assert one.process.wait(60) == 0
    assert "stubborn did not end in time and is killed" in one.lines("syncapp")
    wait_for(lambda: not one.left_over())


@pytest.mark.slow
def test_kill_9_of_the_supervisor_leaves_nothing(supervise: Callable[..., Supervised]) -> None:
    one = supervise({"lives": LIVES, "parent": PARENT, "database": LIVES})
    one.wait_for_pids("lives")
    one.wait_for_pids("parent", 2)
    one.remember_children()
    assert len(one.seen) == 5  # three programs, a child of one of them, the guard
    one.process.kill()
    one.process.wait()
    wait_for(lambda: not one.left_over(), deadline=60)


def test_a_killed_guard_is_replaced(supervise: Callable[..., Supervised]) -> None:
    one = supervise({"lives": LIVES, "dies": DIES})
    one.wait_for_pids("lives")
    guards = [child for child in psutil.Process(one.process.pid).children() if "guard" in " ".join(child.cmdline())]
    guards[0].kill()
    one.wait_for_pids("dies", 6)  # each start and end is told to the guard
    one.remember_children()
    one.process.kill()
    one.process.wait()
    wait_for(lambda: not one.left_over(), deadline=60)


def test_it_ends_when_nobody_reads_its_output_any_more(tmp_path: Path) -> None:
    script = Path(__file__).with_name("supervised.py")
    chatty = "import time\nwhile True: print('line'); time.sleep(0.01)"
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps({"chatty": chatty})],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
