"""Makes .venv and installs what the lock file names. make runs it with a Python that is new enough.

A finished install leaves .venv/.installed, which make compares with the lock file: a warm start installs nothing.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
PACKAGE = re.compile(r"^(?:Collecting|Requirement already satisfied:) (\S+)")


def main() -> int:
    """Exit code 0 when everything is installed."""
    began = time.monotonic()
    if not _venv_works():
        print(f"making .venv with Python {sys.version.split()[0]}", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            return _complain("Python's venv does not work; on Debian and Ubuntu: apt-get install python3-venv")
    total = len(re.findall(r"^\S+==", LOCK.read_text(), re.MULTILINE))
    print(f"installing up to {total} packages of requirements.lock", flush=True)
    code = _pip(["install", "--require-hashes", "--requirement", str(LOCK)], total)
    # The lock has the build backend too: nothing is fetched that it does not name.
    code = code or _pip(["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], 1)
    if code:
        return _complain("pip failed; its words are above")
    (VENV / ".installed").touch()
    print(f"installed in {time.monotonic() - began:.0f} s", flush=True)
    return 0


def _venv_works() -> bool:
    return PYTHON.exists() and subprocess.call([str(PYTHON), "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def _pip(arguments: list[str], total: int) -> int:
    """Runs pip and shows how far it is in place of what it says; all of that where it fails. Returns its exit code."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments, "--progress-bar", "off"]
    said: list[str] = []
    seen: set[str] = set()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            package = PACKAGE.match(line)
            if package and package.group(1) not in seen:
                seen.add(package.group(1))
                _show(f"{len(seen)} of {total}: {package.group(1)}", aloud=len(seen) % 25 == 0)
            elif line.startswith("Installing collected packages"):
                _show("unpacking", aloud=total > 1)
    if sys.stdout.isatty():
        print("\r\x1b[K", end="", flush=True)
    if process.returncode:
        print("".join(said), file=sys.stderr)
    return process.returncode


def _show(text: str, *, aloud: bool) -> None:
    """One line that changes on a terminal; elsewhere a line of its own where it is said `aloud`."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K  {text[:70]}", end="", flush=True)
    elif aloud:
        print(f"  {text}", flush=True)


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
