"""A process whose environment is wrong says all that is wrong with it, once, and ends."""

from __future__ import annotations

import subprocess

import pytest

from syncapp.cli import programs
from tests.faults.stack import Stack

PROCESSES = {"api": programs.WEB, "worker": programs.SYNC_WORKER, "beat": programs.BEAT}


def start(stack: Stack, process: str, **variables: str) -> tuple[int, str]:
    """The exit code and all that the process said. An empty variable is a missing one."""
    command = programs.module(PROCESSES[process], stack.variables(**variables))
    ended = subprocess.run(command.argv, env=dict(command.env), capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("process", PROCESSES)
def test_everything_that_is_wrong_or_missing_is_named_at_once(stack: Stack, process: str) -> None:
    code, said = start(
        stack, process, DATABASE_URL="", REDIS_URL="", LEASE_SECONDS="soon", LOG_LEVEL="loud", MOCK_API_URL="ftp://x"
    )
    assert code != 0
    for name in ("DATABASE_URL", "REDIS_URL", "LEASE_SECONDS", "LOG_LEVEL", "MOCK_API_URL"):
        assert said.count(f"{name}") == 1, f"{name} is named {said.count(name)} times:\n{said}"
    assert "Traceback" not in said


@pytest.mark.parametrize("process", PROCESSES)
def test_a_secret_that_is_wrong_is_not_shown(stack: Stack, process: str) -> None:
    code, said = start(stack, process, SYNCAPP_ADMIN_TOKEN="unsendäble-7q", DATABASE_URL="mysql://u:pa55-7q@host/db")
    assert code != 0
    assert "SYNCAPP_ADMIN_TOKEN" in said
    assert "DATABASE_URL" in said
    assert "7q" not in said
