"""The raw floor: what a careful person would write in one script, and nothing else.

A keep-alive session, orjson, COPY in batches of 1,000 into a temporary table, an upsert where distinct, a checkpoint
row in the same transaction. `--ahead` reads so many pages at once.
"""

from __future__ import annotations

import argparse
from typing import Any

import psycopg

from benchmarks.measure import measured
from benchmarks.reading import read

BATCH = 1_000
FIELDS = ("id", "name", "email", "phone", "city", "status", "notes", "visits", "balance", "active", "created_at")
COLUMNS = (*FIELDS, "updated_at")
OTHERS = COLUMNS[1:]
TABLE = """
CREATE TABLE IF NOT EXISTS bench_records (
    id text PRIMARY KEY, name text, email text, phone text, city text, status text, notes text,
    visits bigint, balance double precision, active boolean, created_at timestamptz, updated_at timestamptz
)"""
CHECKPOINTS = "CREATE TABLE IF NOT EXISTS checkpoints (name text PRIMARY KEY, page int)"
STAGING = "CREATE TEMP TABLE staging ON COMMIT DELETE ROWS AS SELECT * FROM bench_records WITH NO DATA"
COPY = f"COPY staging ({', '.join(COLUMNS)}) FROM STDIN"
OLD, NEW = (", ".join(f"{side}.{name}" for name in OTHERS) for side in ("t", "excluded"))
UPSERT = f"""
INSERT INTO bench_records AS t SELECT * FROM staging
ON CONFLICT (id) DO UPDATE SET ({", ".join(OTHERS)}) = ROW({NEW}) WHERE ({OLD}) IS DISTINCT FROM ({NEW})"""
CHECKPOINT = """
INSERT INTO checkpoints VALUES ('records', %s) ON CONFLICT (name) DO UPDATE SET page = excluded.page"""


def write(connection: psycopg.Connection[Any], records: list[dict[str, Any]], page: int) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            for record in records:
                copy.write_row([record[name] for name in COLUMNS])
        cursor.execute(UPSERT)
        cursor.execute(CHECKPOINT, (page,))


def run(url: str, dsn: str, size: int, ahead: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLE)
        connection.execute(CHECKPOINTS)
        connection.execute(STAGING)
        batch: list[dict[str, Any]] = []
        number = 0
        for number, page in enumerate(read(url, size, ahead), 1):
            batch += page["data"]
            if len(batch) >= BATCH:
                write(connection, batch, number)
                batch = []
        if batch:
            write(connection, batch, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("dsn")
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--ahead", type=int, default=1)
    asked = parser.parse_args()
    with measured():
        run(asked.url, asked.dsn, asked.page_size, asked.ahead)


if __name__ == "__main__":
    main()
