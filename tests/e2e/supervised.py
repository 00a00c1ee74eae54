"""A supervisor over small programs, run as a process of its own by test_supervisor: `supervised.py '{"name": "code"}'`.

A name that begins with `database` or `broker` belongs to that stage.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from syncapp.embedded.console import Console
from syncapp.embedded.server import Command
from syncapp.embedded.supervisor import Backoff, Program, Stage, Supervisor


def stage_of(name: str) -> Stage:
    return next((stage for stage in Stage if name.startswith(stage.name.lower())), Stage.APPLICATION)


def main() -> None:
    programs = json.loads(sys.argv[1])
    log = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with Supervisor(Console(sys.stdout, log), backoff=Backoff(first=0.05, cap=0.4, healthy_after=30)) as supervisor:
        for name, code in programs.items():
            command = partial(Command, [sys.executable, "-u", "-c", code])
            supervisor.start(Program(name, command, stage_of(name)))
        supervisor.say("ready")
        supervisor.run()


if __name__ == "__main__":
    main()
