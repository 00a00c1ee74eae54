"""Who is compared, how each is started, and what its table must hold afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg

from benchmarks.records import Expected

ROOT = Path(__file__).resolve().parent.parent
DLT_HOME = ROOT / ".venv-bench"
DLT_PYTHON = DLT_HOME / "bin" / "python"
TIMEOUT = 1_800  # seconds
PAGES_AT_ONCE = 8


class ClientFailed(Exception):
    """A contender ended with an error, or its table does not hold what it should."""


@dataclass(frozen=True)
class Contender:
    """`module` is run with `arguments`; `table` is where its records end up; `ahead` how it is told to read ahead."""

    name: str
    title: str
    module: str
    table: str
    arguments: tuple[str, ...] = ()
    ahead: bool = False
    python: Path = Path(sys.executable)

    def is_installed(self) -> bool:
        """The mark is left by a whole installation."""
        return self.python != DLT_PYTHON or (DLT_HOME / ".installed").exists()

    def prepare(self, dsn: str) -> None:
        """Makes an empty database ready, where the contender does not do so itself."""
        if self.name == "engine":
            self._start(["--prepare", dsn])

    def run(self, url: str, dsn: str, page_size: int, *, slow: bool) -> dict[str, Any]:
        """What a fresh process measured of itself. Raises ClientFailed."""
        options = ["--page-size", str(page_size), *self.arguments]
        if slow and self.ahead:
            options += ["--ahead", str(PAGES_AT_ONCE)]
        printed = self._start([*options, url, dsn])
        facts: dict[str, Any] = orjson.loads(printed.splitlines()[-1])
        return facts

    def check(self, dsn: str, expected: Expected) -> None:
        """Raises ClientFailed where the table does not hold the data set."""
        with psycopg.connect(dsn) as connection:
            row = connection.execute(
                "SELECT count(*), sum(visits)::bigint, to_char(max(updated_at) AT TIME ZONE 'UTC', "
                f'\'YYYY-MM-DD"T"HH24:MI:SS"Z"\') FROM {self.table}'
            ).fetchone()
        if row != tuple(expected):
            raise ClientFailed(f"{self.title} left {row} in its table instead of {tuple(expected)}")

    def _start(self, arguments: Sequence[str]) -> str:
        command = [str(self.python), "-m", self.module, *arguments]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise ClientFailed(f"{self.title} did not end within {TIMEOUT} s") from None
        if done.returncode:
            raise ClientFailed(f"{self.title} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


CONTENDERS = (
    Contender("floor", "raw floor", "benchmarks.floor", "bench_records", ahead=True),
    Contender("engine", "engine", "benchmarks.engine", "bench_records"),
    Contender("dlt-best", "dlt, Arrow + ADBC", "benchmarks.dlt_best", "bench.records", ahead=True, python=DLT_PYTHON),
    Contender("dlt", "dlt, rest_api", "benchmarks.dlt_plain", "bench.records", python=DLT_PYTHON),
)
