"""What must be true whatever was broken: nothing missing, nothing twice, counts right, no run stuck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.faults.stack import FINAL, Stack
from tests.faults.upstream import Fields

ROWS = {
    "clients": """
        SELECT external_id AS key, is_mock, sync_status, sync_errors, last_synced_at IS NOT NULL AS confirmed,
               name, email, phone, source_updated_at
        FROM clients WHERE organization_id = %s AND deleted_at IS NULL AND sync_status <> 'pending'""",
    "appointments": """
        SELECT a.external_id AS key, a.is_mock, a.sync_status, a.sync_errors, a.last_synced_at IS NOT NULL AS confirmed,
               c.external_id AS client, a.status, a.starts_at, a.source_updated_at
        FROM appointments a LEFT JOIN clients c ON c.id = a.client_id AND c.organization_id = a.organization_id
        WHERE a.organization_id = %s AND a.deleted_at IS NULL AND a.sync_status <> 'pending'""",
}
REAL = (False, "synced", None, True)  # is_mock, sync_status, sync_errors, confirmed
ORPHANS = "SELECT count(*) AS n FROM run_keys k JOIN sync_runs r USING (sync_id) WHERE r.status = 'completed'"
Counts = dict[str, int]


@dataclass
class Tally:
    """What all tests together have looked at, for the summary at the end."""

    faults: int = 0
    runs: int = 0
    records: int = 0


TALLY = Tally()


def counts(run: dict[str, Any], *more: dict[str, Any]) -> Counts:
    """A run's counts; with more runs, of all of them together."""
    names = ("processed", "created", "updated", "unchanged", "deleted", "failed")
    return {name: sum(one[f"records_{name}"] for one in (run, *more)) for name in names}


def assert_mirrors_source(stack: Stack, resource: str, organization: str = "default") -> None:
    """Record by record and field by field, both ways."""
    truth = {key: REAL + fields for key, fields in stack.upstream.truth(resource).items()}
    found: dict[str, Fields] = {}
    for row in stack.rows(ROWS[resource], organization):
        key, *fields = row.values()
        found[key] = tuple(fields)
    lost = truth.keys() - found.keys()
    invented = found.keys() - truth.keys()
    wrong = {key: (found[key], truth[key]) for key in truth.keys() & found.keys() if found[key] != truth[key]}
    assert not lost, f"{len(lost)} {resource} of {organization} are lost: {sorted(lost)[:10]}"
    assert not invented, f"{len(invented)} {resource} of {organization} are not in the source: {sorted(invented)[:10]}"
    assert not wrong, f"{len(wrong)} {resource} of {organization} differ: {list(wrong.items())[:3]}"
    TALLY.records += len(truth)


def assert_first_load(stack: Stack, resource: str, run: dict[str, Any], *more: dict[str, Any]) -> None:
    """The source in an empty table: mirrored, and counted once, over all attempts (of all the runs given)."""
    assert run["status"] == "completed", run
    upstream = stack.upstream
    sent, live, bad = len(upstream.records[resource]), len(upstream.live(resource)), len(upstream.bad(resource))
    wanted = {"processed": sent, "created": live, "updated": 0, "unchanged": 0, "failed": bad}
    assert counts(run, *more) == wanted | {"deleted": sent - live - bad}  # those that the source marks as removed
    assert_mirrors_source(stack, resource, run["organization_id"])


def assert_both_loaded(stack: Stack, runs: dict[str, dict[str, Any]]) -> None:
    """Clients and appointments at once: an appointment that came before its client made the client's row already."""
    assert {run["status"] for run in runs.values()} == {"completed"}, runs
    assert_first_load(stack, "appointments", runs["appointments"])
    found = counts(runs["clients"])
    assert found["created"] + found["updated"] + found["unchanged"] == len(stack.upstream.live("clients")), found
    assert_mirrors_source(stack, "clients")
    assert stack.rows("SELECT external_id FROM clients WHERE sync_status = 'pending'") == []


def assert_sound(stack: Stack) -> None:
    """Every run that there is: it ended, holds nothing, and its counts, dead letters and events agree."""
    runs = stack.rows("SELECT * FROM sync_runs ORDER BY created_at")
    for run in runs:
        _assert_sound(stack, run)
    assert stack.rows(ORPHANS) == [{"n": 0}], "keys of completed runs are still kept"
    TALLY.runs += len(runs)


def _assert_sound(stack: Stack, run: dict[str, Any]) -> None:
    sync_id = run["sync_id"]
    assert run["status"] in FINAL, f"{sync_id} is stuck: {run}"
    assert (run["lease_owner"], run["lease_expires_at"], run["resume_at"]) == (None, None, None), run
    assert run["completed_at"] is not None
    assert (run["error_type"] is None) == (run["status"] == "completed"), run
    found = counts(run)
    marked = found["processed"] - sum(found[name] for name in ("created", "updated", "unchanged", "failed"))
    assert 0 <= marked <= found["deleted"], run  # the rest of the deleted ones were missing from a complete read
    for name, number in found.items():
        assert number == sum(step[f"records_{name}"] for step in run["steps"]), (name, run)
    letters = stack.rows("SELECT external_id FROM dead_letters WHERE sync_id = %s", sync_id)
    assert len(letters) == len({row["external_id"] for row in letters}) == found["failed"], (letters, run)
    _assert_events(stack, run)


def _assert_events(stack: Stack, run: dict[str, Any]) -> None:
    """Numbered without gaps; one end, and it is the last."""
    events = stack.rows("SELECT seq, kind FROM run_events WHERE sync_id = %s ORDER BY seq", run["sync_id"])
    assert [event["seq"] for event in events] == list(range(1, run["event_seq"] + 1)), (events, run)
    kinds = [event["kind"] for event in events]
    assert [kind for kind in kinds if kind in FINAL] == [run["status"]] == kinds[-1:], kinds


def kinds(stack: Stack, sync_id: str) -> list[str]:
    """What happened to a run, without its progress."""
    events = stack.rows("SELECT kind FROM run_events WHERE sync_id = %s AND kind <> 'progress' ORDER BY seq", sync_id)
    return [event["kind"] for event in events]


def fingerprint(stack: Stack) -> list[dict[str, Any]]:
    """Everything that a worker could write, down to the version of each row."""
    tables = ("clients", "appointments", "sync_runs", "run_events", "dead_letters", "stream_states", "run_keys")
    rows = "md5(string_agg(xmin::text || ctid::text || t::text, ',' ORDER BY ctid)) AS rows"
    return stack.rows(" UNION ALL ".join(f"SELECT '{name}' AS name, {rows} FROM {name} t" for name in tables))
