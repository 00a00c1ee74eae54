"""The flag that a worker's children see."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, signal, sys
from workers.stopping import StopFlag

def in_child(work):
    pid = os.fork()
    if pid == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

flag = StopFlag()
seen = []
signal.signal(signal.{signal}, lambda number, frame: seen.append((number, flag.is_set())))
flag.set_on_signals()
assert in_child(lambda: flag.set() or 0) == 0
assert in_child(lambda: os.kill(os.getpid(), signal.{signal}) or 0) == 0
assert not flag.is_set(), "a child may not set it"
os.kill(os.getpid(), signal.{signal})
assert seen == [(signal.{signal}, True)], seen
assert in_child(lambda: 7 if flag.is_set() else 0) == 7
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT", "SIGINT"])
def test_it_is_set_by_the_parent_before_celery_hears_of_the_signal_and_seen_by_children(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE.format(signal=name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


TASK = """
import os, signal
from workers.stopping import StopFlag

flag = StopFlag()
pid = os.fork()
if pid == 0:
    flag.begin_task()
    os.kill(os.getpid(), signal.SIGTERM)
    assert flag.is_set()
    flag.begin_task()
    assert not flag.is_set()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
assert not flag.is_set()
"""


def test_a_childs_first_sigterm_ends_its_task_and_the_second_the_child() -> None:
    done = subprocess.run([sys.executable, "-c", TASK], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
