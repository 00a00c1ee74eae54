"""What of an account must stand in the tables, read without the product's help."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from syncapp.demo.faults import Records

TABLES = {
    "patients": "patients",
    "individual_appointments": "cliniko_appointments",
    "practitioners": "practitioners",
    "appointment_types": "appointment_types",
    "businesses": "businesses",
}
REFERENCES = {"patient_id": "patients", "practitioner_id": "practitioners"}
REFERENCES |= {"business_id": "businesses", "appointment_type_id": "appointment_types"}
TIMES = ("archived_at", "deleted_at", "cancelled_at", "merged_at", "starts_at", "ends_at", "created_at", "updated_at")
ReadRows = Callable[[str, str], dict[str, dict[str, Any]]]


def check_equal(read_rows: ReadRows, organization_id: str, resource: str, records: Records) -> None:
    """Field by field. `read_rows` gives a table's rows of an organization by their ids at Cliniko.

    A patient that was deleted is seen by no list: it is not there, or has left.
    """
    rows = read_rows(TABLES[resource], organization_id)
    ids = {
        table: {row["id"]: key for key, row in read_rows(table, organization_id).items()}
        for table in REFERENCES.values()
    }
    seen = [one for one in records[resource] if resource != "patients" or one["deleted_at"] is None]
    unseen = {one["id"] for one in records[resource]} - {one["id"] for one in seen}
    there = {key for key, row in rows.items() if row["sync_status"] == "synced"}
    assert {key for key in there if key not in unseen or rows[key]["deleted_at"] is None} == {one["id"] for one in seen}
    for record in seen:
        row = rows[record["id"]]
        for name, value in row.items():
            if name in record and name not in ("id", "label"):
                wanted = record[name]
                if name in REFERENCES and resource == "individual_appointments":
                    value = ids[REFERENCES[name]].get(value)
                elif name in TIMES:
                    wanted = wanted and datetime.fromisoformat(wanted)
                elif name == "date_of_birth":
                    value = value and value.isoformat()
                assert value == wanted, (resource, record["id"], name)
