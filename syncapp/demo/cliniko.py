"""The stand-in for Cliniko of the demo: `python -m syncapp.demo.cliniko --port 4011 --patients 300`.

It serves one account under /v1 and keeps changing some of its records so that there is work to do.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime, timedelta

from syncapp.demo.cliniko_account import Account, timestamp
from syncapp.demo.cliniko_api import ClinikoServer
from syncapp.demo.cliniko_clinic import midnight
from syncapp.demo.cliniko_records import Practice
from syncapp.demo.cliniko_shapes import REASONS
from syncapp.demo.serving import serve

CHANGES = ("edited", "edited", "joined", "archived", "merged", "booked", "booked", "moved", "cancelled", "deleted")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m syncapp.demo.cliniko", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--appointments", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--change-every", type=float, default=10.0, metavar="SECONDS", help="0 changes nothing")
    parser.add_argument(
        "--api-key", default=os.environ.get("CLINIKO_DEMO_KEY", "demo-key-au1"), help="else CLINIKO_DEMO_KEY"
    )
    return parser.parse_args(argv)


def change_something(account: Account, practice: Practice, now: datetime) -> str:
    """One thing that happens in a practice; says what it was."""
    with account.lock:
        patients = [row for row in account.records["patients"] if not (row["archived_at"] or row["deleted_at"])]
        marks = ("archived_at", "deleted_at", "cancelled_at")
        visits = [row for row in account.records["individual_appointments"] if not any(row[mark] for mark in marks)]
        what = practice.random.choice(CHANGES)
        if what == "joined" or len(patients) < 2:
            return _join(account, practice, now)
        if what in {"moved", "cancelled", "deleted"} and visits:
            return _change_visit(what, account, practice, practice.random.choice(visits)["id"], now)
        patient, other = practice.random.sample(patients, 2)
        if what == "archived":
            account.archive("patients", patient["id"])
        elif what == "merged":
            account.merge(patient["id"], into=other["id"])
        elif what == "edited":
            account.change("patients", patient["id"], patient_phone_numbers=[practice.phone()])
        else:
            return _book(account, practice, patient["id"], now)
        return f"patient {what}"


def _join(account: Account, practice: Practice, now: datetime) -> str:
    practice.now = now
    made = practice.patient(len(account.records["patients"]) + 1, now)
    account.add("patients", **made)
    return "patient joined"


def _book(account: Account, practice: Practice, patient: str, now: datetime) -> str:
    practice.now = now
    number = len(account.records["individual_appointments"]) + 1
    starts = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=practice.random.randrange(1, 1000))
    visit = practice.appointment(number, now, starts, account.find("patients", patient))
    account.add("individual_appointments", **visit)
    account.change("patients", patient)  # its latest booking is another
    return "appointment booked"


def _change_visit(what: str, account: Account, practice: Practice, id: str, now: datetime) -> str:
    if what == "cancelled":
        account.cancel(id, practice.random.choice(list(REASONS)), "Called this morning")
    elif what == "deleted":
        account.delete("individual_appointments", id)
    else:
        starts = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=practice.random.randrange(1, 1000))
        times = {"starts_at": timestamp(starts), "ends_at": timestamp(starts + timedelta(minutes=30))}
        account.change("individual_appointments", id, **times)
    return f"appointment {what}"


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    practice = Practice(arguments.seed, midnight())
    records = practice.records(arguments.patients, arguments.appointments)
    server = ClinikoServer({arguments.api_key: records}, host=arguments.host, port=arguments.port)

    def change() -> str:
        return change_something(server.account, practice, server.clock())

    serve(server, f"the demo's Cliniko API listens on {server.url}/v1", change, arguments.change_every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
