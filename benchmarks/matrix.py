"""The cases, measured one after the other in turns: whoever else uses the machine disturbs all contenders alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, NamedTuple

import psycopg

from benchmarks.contenders import Contender
from benchmarks.measure import tree_cpu
from benchmarks.records import Expected
from syncapp.embedded.postgres import PostgresServer

PHASES = {"first load": "base", "nothing changed": "base", "1 % changed": "changed"}


class Case(NamedTuple):
    """One line of the table: `latency` in milliseconds an answer."""

    page_size: int
    latency: int
    phase: str


@dataclass(frozen=True)
class Sample:
    """One run. Seconds, and MB (2^20 bytes); `postgres_cpu` is None where there is no /proc to read it from."""

    contender: str
    page_size: int
    latency: int
    phase: str
    wall: float
    cpu: float
    postgres_cpu: float | None
    peak: float

    @property
    def case(self) -> Case:
        return Case(self.page_size, self.latency, self.phase)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Bench:
    """The servers that all cases share, and how often each contender runs a case."""

    postgres: PostgresServer
    pages_url: str
    expected: dict[str, Expected]
    repeat: dict[str, int]
    tell: Callable[[str], None]

    def measure(
        self, contenders: Sequence[Contender], page_sizes: Sequence[int], latencies: Sequence[int]
    ) -> Iterator[Sample]:
        for page_size, latency in product(page_sizes, latencies):
            for turn in range(max(self.repeat.values())):
                taking_part = [one for one in contenders if turn < self.repeat[one.name]]
                if turn % 2:
                    taking_part.reverse()
                yield from self._chain(taking_part, page_size, latency)

    def _chain(self, contenders: Sequence[Contender], page_size: int, latency: int) -> Iterator[Sample]:
        """Each contender in a database of its own, through all phases: where one ends the next one begins."""
        databases = {one.name: f"bench_{one.name.replace('-', '_')}" for one in contenders}
        for contender in contenders:
            self._create(databases[contender.name])
            contender.prepare(self._dsn(databases[contender.name]))
        for phase, data_set in PHASES.items():
            for contender in contenders:
                dsn = self._dsn(databases[contender.name])
                yield self._run(contender, dsn, Case(page_size, latency, phase), data_set)
        for name in databases.values():
            self._drop(name)

    def _run(self, contender: Contender, dsn: str, case: Case, data_set: str) -> Sample:
        self._settle(dsn)
        before = tree_cpu(self.postgres.pid)
        url = f"{self.pages_url}{'/slow' if case.latency else ''}/{data_set}/records"
        facts = contender.run(url, dsn, case.page_size, slow=case.latency > 0)
        after = tree_cpu(self.postgres.pid)
        contender.check(dsn, self.expected[data_set])
        sample = Sample(
            contender.name,
            *case,
            wall=facts["wall"],
            cpu=facts["cpu"],
            postgres_cpu=None if before is None or after is None else after - before,
            peak=facts["peak"],
        )
        self.tell(
            f"{case.page_size:>5} a page, {case.latency:>2} ms, {case.phase}: {contender.title} {sample.wall:.2f} s"
        )
        return sample

    def _settle(self, dsn: str) -> None:
        """As hours after the last run: statistics are there, and the writes of others are on the disk."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def _dsn(self, database: str) -> str:
        return self.postgres.url_of(database)

    def _create(self, database: str) -> None:
        self._drop(database)
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")

    def _drop(self, database: str) -> None:
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
