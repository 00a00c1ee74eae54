"""What a run costs: wall time, processor time of both sides, memory.

A client measures itself around the run alone, without its imports, and prints one JSON line. PostgreSQL's processor
time is read from outside. Memory is the process's peak as a whole, imports and all.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

MEBIBYTE = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@contextmanager
def measured() -> Iterator[None]:
    """Prints `wall` and `cpu` in seconds and `peak` in MB (2^20 bytes) of what runs inside."""
    cpu, wall = _own_cpu(), time.perf_counter()
    yield
    wall, cpu = time.perf_counter() - wall, _own_cpu() - cpu
    facts = {"wall": wall, "cpu": cpu, "peak": peak_memory()}
    os.write(1, orjson.dumps(facts) + b"\n")


def peak_memory() -> float:
    """The largest resident size that this process ever had, in MB, and that of its largest child besides."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    try:
        status = (PROC / "self" / "status").read_text()
        # Not ru_maxrss: after a fork that begins at the size of the parent.
        own = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (own + children) / MEBIBYTE


def _own_cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def tree_cpu(root: int) -> float | None:
    """Seconds that a process and all its descendants have used, the ended ones too; None where there is no /proc."""
    total = _ticks(root, ended=True)
    if total is None:
        return None
    for entry in PROC.iterdir():
        if entry.name.isdigit() and _parent(int(entry.name)) == root:
            total += _ticks(int(entry.name), ended=False) or 0
    return total / TICKS


def _stat(pid: int) -> list[str]:
    """The fields behind the process's name: state, parent, …"""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _ticks(pid: int, *, ended: bool) -> int | None:
    fields = _stat(pid)
    return sum(map(int, fields[11 : 15 if ended else 13])) if fields else None
