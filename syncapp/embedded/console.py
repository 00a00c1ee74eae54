"""Lines of many processes as one stream: each with its process's name, coloured on a terminal, kept in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import orjson

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
WIDTH = 10  # of the longest name we use
FILE_LIMIT = 20_000_000  # bytes, then a new file is begun and one old one kept
LINE_LIMIT = 64_000  # bytes after which a line without an end is shown as one


class ConsoleGone(Exception):
    """Nobody reads what we print any more."""


class Console:
    """Writes lines to `out`, as JSON where that is wanted, and, where given, to a private log file, without colours."""

    def __init__(self, out: TextIO, log: Path | None = None, *, as_json: bool = False) -> None:
        self._out, self._as_json = out, as_json
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}
        self._log = log
        self._file = self._open()

    def line(self, name: str, text: str, *, keep: bool = True, facts: Mapping[str, str] | None = None) -> None:
        """Shows one line; `keep=False` leaves it out of the file (a token). `facts` stand beside it in JSON alone.

        Raises ConsoleGone where the reader of a pipe or a terminal has left.
        """
        plain = f"{name:<{WIDTH}} | {text}\n"
        if keep:
            self._keep(plain)
        if self._as_json:
            plain = orjson.dumps({"process": name, "message": text, **(facts or {})}).decode() + "\n"
        elif self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            plain = f"\x1b[{colour}m{name:<{WIDTH}} |\x1b[0m {text}\n"
        try:
            self._out.write(plain)
            self._out.flush()
        except OSError as error:
            silent = os.open(os.devnull, os.O_WRONLY)  # what is still said on the way out goes nowhere
            os.dup2(silent, self._out.fileno())
            os.close(silent)
            raise ConsoleGone from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> TextIO | None:
        if self._log is None:
            return None
        return open(self._log, "a", encoding="utf-8", errors="replace", opener=_private)

    def _keep(self, line: str) -> None:
        if self._file is None or self._log is None:
            return
        self._file.write(line)
        self._file.flush()
        if self._file.tell() > FILE_LIMIT:
            self._file.close()
            self._log.replace(self._log.with_name(self._log.name + ".1"))
            self._file = self._open()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Lines:
    """Cuts what a process writes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            whole.append(self._rest)
            self._rest = b""
        return [line.rstrip(b"\r").decode(errors="replace") for line in whole]

    def rest(self) -> list[str]:
        return [self._rest.decode(errors="replace")] if self._rest else []
