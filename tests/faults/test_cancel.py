"""A run that was cancelled stays cancelled, whatever is killed and started again."""

from __future__ import annotations

from tests.faults.audit import assert_first_load, counts, fingerprint, kinds
from tests.faults.stack import Stack
from tests.waiting import wait_for

CANCELLED = "/api/v1/runs/{}/cancel"


def work_elsewhere(stack: Stack) -> None:
    """A run of another organization from its beginning to its end: whoever looks for work has looked."""
    stack.organizations("elsewhere")
    assert_first_load(stack, "clients", stack.ended(stack.trigger(organization="elsewhere")))


def test_a_run_is_cancelled_at_its_page_and_its_records_stay(stack: Stack) -> None:
    stack.start_worker()
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    status, answer = stack.ask("POST", CANCELLED.format(sync_id))
    assert (status, answer["status"]) == (202, "running")
    run = stack.ended(sync_id)
    assert (run["status"], run["error_type"]) == ("cancelled", "cancelled")
    assert counts(run)["processed"] < len(stack.upstream.records["clients"])
    assert stack.rows("SELECT count(*) AS n FROM clients WHERE deleted_at IS NULL") == [{"n": counts(run)["created"]}]
    status, answer = stack.ask("POST", f"/api/v1/runs/{sync_id}/retry")
    stack.upstream.hurry()
    assert_first_load(stack, "clients", stack.ended(answer["sync_id"]), run)


def test_a_cancelled_run_stays_so_over_restarts_of_everything(stack: Stack) -> None:
    worker = stack.start_worker()
    sync_id = stack.trigger()
    stack.in_the_middle(sync_id)
    worker.pause()  # so that nobody hears of it before everything dies
    status, answer = stack.ask("POST", CANCELLED.format(sync_id))
    assert (status, answer["status"]) == (202, "running")
    waiting = stack.trigger("appointments")
    assert stack.ask("POST", CANCELLED.format(waiting))[1]["status"] == "cancelled"
    stack.end_everything()
    stack.kill_valkey()
    stack.postgres.kill()
    stack.postgres.start(60)
    stack.valkey.start()
    stack.upstream.hurry()
    stack.start_worker()
    stack.have_api()
    assert stack.ended(sync_id)["status"] == "cancelled"
    before = fingerprint(stack)
    wait_for(lambda: stack.waiting() == 0, what="the messages of before the restart are taken")
    assert stack.run(sync_id)["status"] == stack.run(waiting)["status"] == "cancelled"
    assert fingerprint(stack) == before
    work_elsewhere(stack)
    assert kinds(stack, sync_id) == ["started", "cancel_requested", "cancelled"]
    assert kinds(stack, waiting) == ["cancelled"]
