"""dlt as its documentation begins: the `rest_api` source, merged by key into PostgreSQL."""

from __future__ import annotations

import argparse

from dlt.sources.rest_api import rest_api_source

from benchmarks.dlt_common import pipeline_for
from benchmarks.measure import measured


def run(url: str, dsn: str, page_size: int) -> None:
    base_url, _, resource = url.rpartition("/")
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{base_url}/",
                "paginator": {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": None},
            },
            "resource_defaults": {
                "primary_key": "id",
                "write_disposition": {"disposition": "merge", "strategy": "upsert"},
            },
            "resources": [
                {
                    "name": "records",
                    "endpoint": {"path": resource, "params": {"per_page": page_size}, "data_selector": "data"},
                }
            ],
        }
    )
    with pipeline_for(dsn) as pipeline:
        pipeline.run(source).raise_on_failed_jobs()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("dsn")
    parser.add_argument("--page-size", type=int, default=100)
    asked = parser.parse_args()
    with measured():
        run(asked.url, asked.dsn, asked.page_size)


if __name__ == "__main__":
    main()
