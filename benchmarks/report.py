"""Samples as tables, ratios and goals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import CONTENDERS
from benchmarks.matrix import Case, Sample

TITLES = {contender.name: contender.title for contender in CONTENDERS}
WALL_OF_FLOOR, FASTER_THAN_BEST, FASTER_THAN_PLAIN, PEAK = 1.25, 1.5, 8.0, 90.0


@dataclass(frozen=True)
class Line:
    """The medians of a contender's runs of one case; `least` is the shortest wall time."""

    contender: str
    runs: int
    wall: float
    least: float
    cpu: float
    postgres_cpu: float | None
    peak: float


@dataclass(frozen=True)
class Goal:
    """What was wanted of a case and what came out; `met` where the figure is on the right side of the bound."""

    case: Case
    text: str
    figure: float
    met: bool


def summarize(samples: Iterable[Sample]) -> dict[Case, dict[str, Line]]:
    found: dict[Case, dict[str, list[Sample]]] = {}
    for sample in samples:
        found.setdefault(sample.case, {}).setdefault(sample.contender, []).append(sample)
    return {
        case: {name: _line(name, by_name[name]) for name in TITLES if name in by_name}
        for case, by_name in found.items()
    }


def _line(name: str, samples: Sequence[Sample]) -> Line:
    postgres = [sample.postgres_cpu for sample in samples if sample.postgres_cpu is not None]
    return Line(
        name,
        len(samples),
        wall=median(sample.wall for sample in samples),
        least=min(sample.wall for sample in samples),
        cpu=median(sample.cpu for sample in samples),
        postgres_cpu=median(postgres) if postgres else None,
        peak=median(sample.peak for sample in samples),
    )


def goals(summary: dict[Case, dict[str, Line]]) -> Iterator[Goal]:
    """Where goals disagree, the one that compares with the floor decides."""
    for case, lines in summary.items():
        engine = lines.get("engine")
        if engine is None:
            continue
        yield Goal(case, f"at most {PEAK:g} MB", engine.peak, engine.peak <= PEAK)
        if floor := lines.get("floor"):
            times = engine.wall / floor.wall
            yield Goal(case, f"at most {WALL_OF_FLOOR:g} x the floor", times, times <= WALL_OF_FLOOR)
        for name, bound in (("dlt-best", FASTER_THAN_BEST), ("dlt", FASTER_THAN_PLAIN)):
            if other := lines.get(name):
                times = other.wall / engine.wall
                yield Goal(case, f"at least {bound:g} x faster than {TITLES[name]}", times, times >= bound)


def show(summary: dict[Case, dict[str, Line]]) -> Iterator[str]:
    """Lines of Markdown."""
    for (page_size, latency), cases in _groups(summary).items():
        yield f"**Pages of {page_size:,}{f', {latency} ms added to each answer' if latency else ''}**"
        yield ""
        yield (
            "| case | | runs | wall s (least) | x floor | x engine | client CPU s | PostgreSQL CPU s | peak MB |\n"
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        )
        for case in cases:
            yield from _rows(case, summary[case])
        yield ""


def _groups(summary: Iterable[Case]) -> dict[tuple[int, int], list[Case]]:
    groups: dict[tuple[int, int], list[Case]] = {}
    for case in summary:
        groups.setdefault((case.page_size, case.latency), []).append(case)
    return groups


def _rows(case: Case, lines: dict[str, Line]) -> Iterator[str]:
    for line in lines.values():
        cells = (
            case.phase,
            TITLES[line.contender],
            str(line.runs),
            f"{line.wall:.2f} ({line.least:.2f})",
            _ratio(line, lines.get("floor")),
            _ratio(line, lines.get("engine")),
            f"{line.cpu:.2f}",
            "-" if line.postgres_cpu is None else f"{line.postgres_cpu:.2f}",
            f"{line.peak:.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def _ratio(line: Line, other: Line | None) -> str:
    return "-" if other is None else f"{line.wall / other.wall:.2f}"


def show_goals(found: Sequence[Goal]) -> Iterator[str]:
    missed = [goal for goal in found if not goal.met]
    yield f"{len(found) - len(missed)} of {len(found)} goals met."
    for goal in missed:
        size, latency, phase = goal.case
        yield f"missed: pages of {size:,}, {latency} ms, {phase}: {goal.text}; it is {goal.figure:.2f}"
