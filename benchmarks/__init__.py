"""Side by side with a raw floor and with dlt: `python -m benchmarks --help`, docs/benchmarks.md."""
