"""What both ways of using dlt share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import dlt
from dlt.pipeline.pipeline import Pipeline

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"


@contextmanager
def pipeline_for(dsn: str) -> Iterator[Pipeline]:
    """A pipeline into the schema `bench`. Its working folder is empty: what it knows of earlier runs it restores from
    the destination, as it does on every machine but the one where it ran before."""
    with tempfile.TemporaryDirectory(prefix="bench-dlt-") as folder:
        yield dlt.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(dsn),
            dataset_name="bench",
        )
