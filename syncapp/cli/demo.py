"""The upstreams that `syncapp up` runs where none is configured, and the practice that is a customer of one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from config.settings import Settings
from syncapp.cli import programs
from syncapp.cli.first_sync import Api, ApiAnswer
from syncapp.embedded.home import Home

Start = Callable[..., Any]
PRACTICE = "demo"
PRACTICE_KEY = "CLINIKO_DEMO_KEY"


def start_demos(settings: Settings, home: Home, env: dict[str, str], start: Start, say: Callable[[str], Any]) -> None:
    """`start(name, program, *arguments)` starts one. `env` gets what everybody else has to know of it."""
    if settings.mock_api_url is None:
        port = home.port("demo")
        env["MOCK_API_URL"] = f"http://127.0.0.1:{port}"
        env["MOCK_API_KEY"] = home.secret("demo-api-key")
        env["MOCK_FALLBACK"] = os.environ.get("MOCK_FALLBACK", "true")
        say(f"MOCK_API_URL is not set: the demo's upstream runs on port {port}")
        start("demo", programs.DEMO, "--port", str(port))
    if "cliniko_api_url" not in settings.model_fields_set:
        port = home.port("demo-cliniko")
        env["CLINIKO_API_URL"] = f"http://127.0.0.1:{port}/v1"
        env[PRACTICE_KEY] = f"{home.secret('demo-cliniko-key')}-au1"
        say(f"CLINIKO_API_URL is not set: a stand-in for Cliniko runs on port {port}")
        start("cliniko", programs.DEMO_CLINIKO, "--port", str(port))
    if settings.cupid_api_key is None and "cupid_api_url" not in settings.model_fields_set:
        port = home.port("demo-cupid")
        env["CUPID_API_URL"] = f"http://127.0.0.1:{port}/v3.0"
        env["CUPID_API_KEY"] = home.secret("demo-cupid-key")
        say(f"CUPID_API_KEY is not set: a stand-in for Cupid runs on port {port}")
        start("cupid", programs.DEMO_CUPID, "--port", str(port))


def admit_practice(api: Api, env: dict[str, str], say: Callable[[str], Any]) -> dict[str, str]:
    """Makes the demo's organization, stores its key and starts its first run, by name. A failure is said."""
    if PRACTICE_KEY not in env:
        return {}
    try:
        _make_practice(api)
        api.ask("PUT", f"/api/v1/cliniko/credentials/{PRACTICE}", {"api_key": env[PRACTICE_KEY]})
        started = api.ask("POST", f"/api/v1/cliniko/sync/{PRACTICE}")
    except ApiAnswer as answer:
        say(f"the organization {PRACTICE} is not synced: {answer}")
        return {}
    return {f"cliniko of {PRACTICE}": str(started["sync_id"])}


def _make_practice(api: Api) -> None:
    try:
        api.ask("POST", "/api/v1/organizations", {"id": PRACTICE, "name": "Demo practice"})
    except ApiAnswer as answer:
        if answer.status != 409:  # it was here before
            raise
