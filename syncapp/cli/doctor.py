"""`syncapp doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

import click

from syncapp.cli.checks import FAILED, WARNING, Check, examine
from syncapp.cli.context import json_option
from syncapp.cli.output import emit, show_table


@click.command("doctor")
@json_option
@click.pass_context
def doctor(context: click.Context) -> None:
    """Say what is wrong and how to mend it; exit code 1 where anything is."""
    checks = list(examine())
    wrong = sum(check.state == FAILED for check in checks)
    emit({"ok": wrong == 0, "checks": checks}, lambda: _show(checks, wrong))
    if wrong:
        context.exit(1)


def _show(checks: list[Check], wrong: int) -> None:
    rows = [(check.name, check.state, check.found, check.mend) for check in checks]
    show_table(("CHECK", "STATE", "FOUND", "WHAT MENDS IT"), rows, empty="", fold=True)
    warnings = sum(check.state == WARNING for check in checks)
    later = f", {warnings} to look at when there is time" if warnings else ""
    click.echo(f"\n{wrong} of {len(checks)} are wrong{later}" if wrong else f"\nNothing is wrong{later}")
