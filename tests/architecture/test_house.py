"""The sizes and names that the house holds. Layers are held by import-linter (`make check`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("api", "config", "syncapp", "workers")
MAX_FILE, MAX_FUNCTION, MAX_EDGE = 300, 40, 15
FORBIDDEN_NAMES = ("util", "helper", "manager", "service", "misc")


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if "versions" not in path.parts]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", files(*PRODUCT, "tests", "benchmarks"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE


@pytest.mark.parametrize("path", files(*PRODUCT), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_does_one_thing(path: Path) -> None:
    long = {node.name: length(node) for node in functions(path) if length(node) > MAX_FUNCTION}
    assert long == {}


def test_routes_and_tasks_are_thin() -> None:
    edges = [*files("api/blueprints"), ROOT / "workers" / "tasks.py"]
    long = {
        f"{path.name}:{node.name}": length(node)
        for path in edges
        for node in functions(path)
        if node.decorator_list and length(node) > MAX_EDGE
    }
    assert long == {}


def test_no_name_that_says_nothing() -> None:
    named = [path for path in files(*PRODUCT) if any(word in path.stem.split("_") for word in FORBIDDEN_NAMES)]
    assert named == []


def test_everything_public_says_what_it_is() -> None:
    silent = [
        path for path in files(*PRODUCT) if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
