"""Asks the running API and prints its answer: `ask.py METHOD PATH [BODY]`. The make targets sync-… are calls of it.

The API is the one of the `make up` that runs on SYNCAPP_HOME (.syncapp), or the one that API_URL names, with
SYNCAPP_ADMIN_TOKEN. Exit code 0 only where it answered with success.
"""

import http.client
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 30
USAGE = "Usage: ask.py METHOD PATH [BODY]"


class Failed(Exception):
    """Why there is no good answer, in one line."""


def main(words: list[str]) -> int:
    """The exit code."""
    try:
        if not 2 <= len(words) <= 3:
            raise Failed(USAGE)
        print(json.dumps(ask(*find_api(), *words), indent=2, ensure_ascii=False), flush=True)
    except Failed as failed:
        print(f"Error: {failed}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def find_api() -> tuple[str, str]:
    """Its address and an admin token. Raises Failed. The token of SYNCAPP_HOME is sent nowhere but to its own API."""
    token = os.environ.get("SYNCAPP_ADMIN_TOKEN", "").strip()
    url = os.environ.get("API_URL", "").strip()
    if url and not token:
        raise Failed(f"API_URL names {url}: set SYNCAPP_ADMIN_TOKEN too")
    if url:
        return url, token
    home = Path(os.environ.get("SYNCAPP_HOME") or ".syncapp").absolute()
    if not _runs(home):
        raise Failed(f"no `make up` runs on {home}: start it first, or set API_URL and SYNCAPP_ADMIN_TOKEN")
    try:
        url = (home / "api-url").read_text().strip()
        return url, token or (home / "admin-token").read_text().strip()
    except OSError:
        raise Failed(f"the `make up` on {home} is not that far yet: try again in a moment") from None


def ask(url: str, token: str, method: str, path: str, body: str = "") -> object:
    """The JSON of a good answer. Raises Failed with what the API says of any other; no redirect is followed."""
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    headers = {"Authorization": f"Bearer {token}"} | ({"Content-Type": "application/json"} if body else {})
    try:
        connection = kinds[parts.scheme](parts.hostname or "", parts.port, timeout=SECONDS)
        connection.request(method, parts.path.rstrip("/") + path, body.encode() or None, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (KeyError, ValueError):
        raise Failed(
            f"API_URL must be an http:// or https:// address, {url} is none; the token has ASCII alone"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"the API at {url} does not answer: {error or type(error).__name__}") from None
    try:
        document = json.loads(text)
    except ValueError:
        raise Failed(f"{url}{path} answered {answer.status} and no JSON") from None
    if answer.status >= 300:
        raise Failed(_explain(document, answer.status))
    return document


def _runs(home: Path) -> bool:
    """Whether the process that the folder's lock names is alive."""
    try:
        os.kill(int((home / "lock").read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _explain(document: object, status: int) -> str:
    details = document.get("details") if isinstance(document, dict) else None
    if not isinstance(details, dict):
        return f"the API answered {status}"
    fields = details.get("fields") or {}
    return "; ".join([str(details.get("message")), *(f"{name}: {problem}" for name, problem in fields.items())])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
