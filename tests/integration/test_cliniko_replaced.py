"""What another key in place of the one before does to what was read with that."""

from __future__ import annotations

import pytest

from syncapp.demo.cliniko_records import make_records
from syncapp.demo.faults import Records
from tests.integration.cliniko import KEY, Practice

OTHER = "another-key-uk1"


@pytest.fixture(scope="module")
def records() -> Records:
    return make_records(1, patients=230, appointments=120)


def put(practice: Practice, key: str) -> int:
    return practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json={"api_key": key}).status_code


def test_another_accounts_key_begins_anew(practice: Practice, records: Records) -> None:
    """A trial's key first, the practice's own later: nothing of the first read is gone on with."""
    practice.add("acme", records=records)
    practice.sync("acme", "comprehensive")
    waiting = practice.start("acme")
    practice.upstream.api.add(OTHER, make_records(2, patients=300, appointments=150))
    assert put(practice, OTHER) == 200
    assert practice.run(waiting)["status"] == "cancelled"
    assert practice.api.query("SELECT * FROM stream_states WHERE sync = 'cliniko'") == []
    answer = practice.api.post("/api/v1/sync/scheduler/trigger", headers={"X-Organization-ID": "acme"}).get_json()
    assert practice.run(answer["sync_id"])["mode"] == "comprehensive"


def test_the_same_key_once_more_changes_nothing(practice: Practice, records: Records) -> None:
    practice.add("acme", records=records)
    practice.sync("acme", "comprehensive")
    waiting = practice.start("acme")
    assert put(practice, KEY) == 200
    assert practice.run(waiting)["status"] == "starting"
    assert len(practice.api.query("SELECT * FROM stream_states WHERE sync = 'cliniko'")) == 5
