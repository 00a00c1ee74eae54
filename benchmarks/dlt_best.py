"""dlt at its best: Arrow tables made of whole pages, loaded through ADBC, merged by key into PostgreSQL.

A resource of our own reads with the same keep-alive session and orjson as the floor; `--ahead` reads so many pages at
once. Everything from there on is dlt's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import dlt
import pyarrow as pa

from benchmarks.dlt_common import pipeline_for
from benchmarks.measure import measured
from benchmarks.reading import read

ROWS = 10_000  # in one Arrow table: fewer, larger ones cost dlt less
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("email", pa.string()),
        ("phone", pa.string()),
        ("city", pa.string()),
        ("status", pa.string()),
        ("notes", pa.string()),
        ("visits", pa.int64()),
        ("balance", pa.float64()),
        ("active", pa.bool_()),
        ("created_at", pa.string()),
        ("updated_at", pa.string()),
    ]
)
TIME = pa.timestamp("us", tz="UTC")


def tables(url: str, page_size: int, ahead: int) -> Iterator[pa.Table]:
    records: list[dict[str, object]] = []
    for page in read(url, page_size, ahead):
        records += page["data"]
        if len(records) >= ROWS:
            yield table(records)
            records = []
    if records:
        yield table(records)


def table(records: list[dict[str, object]]) -> pa.Table:
    made = pa.Table.from_pylist(records, schema=SCHEMA)
    for name in ("created_at", "updated_at"):
        made = made.set_column(made.schema.get_field_index(name), name, made[name].cast(TIME))
    return made


def run(url: str, dsn: str, page_size: int, ahead: int) -> None:
    resource = dlt.resource(
        tables(url, page_size, ahead),
        name="records",
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )
    with pipeline_for(dsn) as pipeline:
        pipeline.run(resource, loader_file_format="parquet").raise_on_failed_jobs()


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
