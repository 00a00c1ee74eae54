"""The benchmark as `make bench` runs it, with few records and without dlt, so that it does not rot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main


@pytest.mark.slow
def test_engine_and_floor_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = tmp_path / "samples.json"
    few = ["--records", "1000", "--repeat", "1", "--only", "engine", "floor", "--page-sizes", "100"]
    assert main([*few, "--latencies", "0", "1", "--json", str(samples)]) == 0
    taken = json.loads(samples.read_text())["samples"]
    phases = ["first load", "nothing changed", "1 % changed"]
    cases = {(one["contender"], one["latency"], one["phase"]) for one in taken}
    assert cases == {(name, latency, phase) for name in ("engine", "floor") for latency in (0, 1) for phase in phases}
    assert all(one["wall"] > 0 and one["peak"] > 20 for one in taken)
    assert "| nothing changed | engine | 1 |" in capsys.readouterr().out


@pytest.mark.slow
def test_the_trigger_beside_a_minimal_route(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "trigger", "--repeat", "1", "--requests", "40", "--starts", "3"]) == 0
    shown = capsys.readouterr().out
    assert "| minimal route |" in shown
    assert "of the minimal route's requests a second" in shown
