"""The README's «Add a sync», done: one file, one line in the registry, one model, one migration."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncapp.demo.server import DemoServer

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"`(syncapp/[a-z]+/notes\.py)`.*?```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the product with what the README says added to it."""
    for folder in ("syncapp", "config", "workers", "api"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in BLOCK.findall((ROOT / "README.md").read_text()):
        (tmp_path / path).write_text(text)
    registry = tmp_path / "syncapp" / "registry.py"
    text = registry.read_text().replace("import cliniko, properties", "import cliniko, notes, properties")
    registry.write_text(text.replace("    wellness.CLIENTS,", "    notes.NOTES,\n    wellness.CLIENTS,"))
    return tmp_path


@pytest.mark.slow
def test_a_new_sync_as_the_readme_says(checkout: Path, database_url: str, database_dsn: str) -> None:
    records = [{"id": n, "title": f"Note {n}", "stars": n % 6} for n in range(1, 251)]
    with DemoServer({"notes": [*records, {"id": 999, "title": "bad", "stars": "many"}]}, api_key="key") as upstream:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
            "PYTHONPATH": str(checkout),
            "DATABASE_URL": database_url,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "MOCK_API_URL": upstream.url,
            "MOCK_API_KEY": "key",
        }

        def syncapp(*words: str) -> Any:
            command = [sys.executable, "-m", "syncapp", *words, "--json"]
            done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        written = Path(syncapp("db", "revision", "notes")["file"])
        assert "op.create_table" in written.read_text()
        syncapp("db", "upgrade")
        assert "notes" in {sync["name"] for sync in syncapp("syncs")["items"]}
        run = syncapp("sync", "notes")
        with psycopg.connect(database_dsn) as connection:
            connection.execute("UPDATE notes SET title = 'by hand' WHERE external_id = '7'")
        again = syncapp("sync", "notes", "--full-refresh")
    assert again["records_updated"] == 1
    assert (run["status"], run["records_created"], run["records_failed"]) == ("completed", 250, 1)
    with psycopg.connect(database_dsn) as connection:
        found = connection.execute("SELECT external_id::int, title, stars FROM notes ORDER BY 1").fetchall()
    assert found == [(record["id"], record["title"], record["stars"]) for record in records]
