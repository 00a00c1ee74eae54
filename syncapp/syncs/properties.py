"""Cupid's hotel properties: a catalogue kept fresh by comparison (contract, section 3; docs/properties.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from xxhash import xxh3_64_hexdigest

from config.settings import Settings
from syncapp.connectors.cupid import LISTS, RULES, CupidSource, cupid_config, followed_ids, missing_file, normalizer
from syncapp.connectors.cupid.fetch import Mark
from syncapp.connectors.cupid.source import IN_A_ROW
from syncapp.definition import Every, Policy, Setting, SourceContext, Stream, Sync
from syncapp.merge.table import Table
from syncapp.models import Property
from syncapp.sync_settings import read_settings

NAME = "properties"
MEBIBYTE = 1024 * 1024
TABLE = Table.of(Property, lists=LISTS, largest=16 * MEBIBYTE)
# Only of rows that are as they were read, from the same address and as this version of the code does.
MARKS = """
SELECT p.property_id, m.mark -> 'parts' FROM record_marks m
JOIN properties p ON p.organization_id = m.organization_id AND p.external_id = m.external_id
WHERE m.sync = 'properties' AND m.stream = 'properties' AND m.organization_id = %(organization)s
  AND m.external_id = ANY(%(keys)s) AND m.mark ->> 'form' = %(form)s
  AND p.row_hash IS NOT NULL AND p.deleted_at IS NULL AND p.sync_status = 'synced'"""

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


def _of(context: SourceContext, ids: Callable[[], Sequence[int]], patience: int | None = IN_A_ROW) -> CupidSource:
    settings, database = context.settings, context.database
    made_by = (settings.cupid_api_url, RULES, TABLE.columns, sorted(LISTS.items()))
    form = xxh3_64_hexdigest(repr(made_by).encode())

    def marks(batch: Sequence[int]) -> Mapping[int, Mark]:
        keys = [str(one) for one in batch]
        values = {"organization": context.organization_id, "keys": keys, "form": form}
        with database.connection() as connection:
            return dict(connection.execute(MARKS, values).fetchall())

    return CupidSource(
        cupid_config(settings),
        context.rate_limit,
        ids=ids,
        languages=settings.cupid_languages,
        settings=lambda: read_settings(database, settings, NAME, SETTINGS),
        marks=marks if not context.full_refresh else lambda _: {},
        form=form,
        patience=patience,
    )


def _source(context: SourceContext) -> CupidSource:
    return _of(context, lambda: followed_ids(context.settings))


def _find(context: SourceContext, keys: Sequence[str]) -> CupidSource:
    return _of(context, lambda: sorted(int(key) for key in keys), patience=None)


PROPERTIES = Sync(
    name=NAME,
    title="Properties",
    source="Cupid",
    destination="PostgreSQL: properties",
    streams=(
        Stream(
            name=NAME,
            title="Properties",
            source=_source,
            find=_find,
            normalize=lambda _: normalizer(TABLE),
            table=TABLE,
            incremental=False,
            page_is_batch=True,
            steady=True,
        ),
    ),
    every=_every,
    missing=_missing,
    policy=Policy(record_changes=True),
    settings=SETTINGS,
    shortest=300.0,
    longest=7 * 86_400.0,
    admins_only=True,
)
