"""Cupid's hotel properties: a catalogue kept fresh by comparison (contract, section 3; docs/properties.md)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from config.settings import Settings
from syncapp.connectors.cupid import missing_file
from syncapp.definition import Every, Policy, Setting, Sync

SETTINGS = (
    Setting("batch_size", "Properties a transaction: 1 to 100", lambda env: env.sync_batch_size, 1, 100),
    Setting("max_concurrent", "Requests under way at once: 1 to 32", lambda env: env.sync_max_concurrent, 1, 32),
    Setting("retry_attempts", "How often a request is repeated: 0 to 10", lambda env: env.sync_retry_attempts, 0, 10),
    Setting(
        "rate_limit",
        "Requests a second, over all workers together: 1 to 100",
        lambda env: env.sync_rate_limit,
        1,
        100,
    ),
)


def _every(settings: Settings) -> Every:
    return Every(interval=timedelta(seconds=settings.sync_interval), enabled=settings.sync_enable_auto)


def _missing(settings: Settings) -> Iterable[str]:
    if settings.cupid_api_key is None:
        yield "CUPID_API_KEY"
    yield from missing_file(settings)
