"""From samples to medians, ratios and goals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.matrix import Case, Sample
from benchmarks.measure import measured, peak_memory, tree_cpu
from benchmarks.report import goals, show, show_goals, summarize

CASE = Case(100, 0, "first load")


def sample(contender: str, wall: float, peak: float = 50.0, postgres_cpu: float | None = 0.5) -> Sample:
    return Sample(contender, *CASE, wall=wall, cpu=wall / 2, postgres_cpu=postgres_cpu, peak=peak)


def test_medians_by_case_and_contender() -> None:
    line = summarize([sample("floor", wall) for wall in (3.0, 1.0, 2.0)])[CASE]["floor"]
    assert (line.runs, line.wall, line.least, line.cpu, line.postgres_cpu) == (3, 2.0, 1.0, 1.0, 0.5)


def test_where_there_is_no_proc_nothing_is_invented() -> None:
    summary = summarize([sample("floor", 1.0, postgres_cpu=None)])
    assert summary[CASE]["floor"].postgres_cpu is None
    assert "| - |" in list(show(summary))[-2]


def test_goals() -> None:
    samples = [sample("floor", 1.0), sample("engine", 1.3, peak=95.0), sample("dlt-best", 2.6), sample("dlt", 7.8)]
    found = list(goals(summarize(samples)))
    assert [(round(goal.figure, 6), goal.met) for goal in found] == [
        (95.0, False),
        (1.3, False),
        (2.0, True),
        (6.0, False),
    ]
    first, *missed = show_goals(found)
    assert first == "1 of 4 goals met."
    assert missed[1] == "missed: pages of 100, 0 ms, first load: at most 1.25 x the floor; it is 1.30"


def test_the_table_shows_both_ratios() -> None:
    lines = list(show(summarize([sample("floor", 1.0), sample("engine", 1.2)])))
    assert lines[-2] == "| first load | engine | 1 | 1.20 (1.20) | 1.20 | 1.00 | 0.60 | 0.50 | 50 |"


def test_a_client_measures_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with measured():
        sum(range(200_000))
    printed = capfd.readouterr().out
    assert '"wall":' in printed
    assert '"cpu":' in printed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_processor_time_of_a_process_and_its_children() -> None:
    busy = "import time; began = time.process_time()\nwhile time.process_time() - began < 0.2: pass"
    before = tree_cpu(os.getpid())
    subprocess.run([sys.executable, "-c", busy], check=True)
    after = tree_cpu(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before >= 0.15
    assert tree_cpu(2**22 + 1) is None
    assert peak_memory() > 5
