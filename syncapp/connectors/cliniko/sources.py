"""Lists of Cliniko as sources.

A plain list leaves out what is archived, deleted or cancelled, and a change that archives a record with it: a list is
complete only where a filter names each of these columns. It comes in the order of creation, which no change moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from config.settings import Settings
from config.values import SHARD
from syncapp.connectors.cliniko.key import ClinikoKey
from syncapp.connectors.rest import Basic, JsonLink, RestConfig, RestSource
from syncapp.ports import Pace, RateLimit, ReadRequest, Source
from syncapp.reading import Reading
from syncapp.records import Page

MOST_PER_PAGE = 100
ANYTHING = "*"


def listing(
    settings: Settings, key: ClinikoKey, rate_limit: RateLimit, resource: str, *, shown: Sequence[str] = ()
) -> RestSource:
    """All records of a resource. `shown` are the columns by which Cliniko hides records: `archived_at`, for example.

    Requests are paced per key over all processes, below the vendor's 200 a minute. Source: docs.api.cliniko.com.
    """
    config = RestConfig(
        base_url=settings.cliniko_api_url.replace(SHARD, key.shard),
        resource=resource,
        auth=Basic(key.value),
        name="Cliniko",
        code_prefix="CLINIKO_API",
        paginator=JsonLink(),
        page_size=MOST_PER_PAGE,
        selector=resource.partition("/")[0],
        params=tuple(("q[]", f"{column}:{ANYTHING}") for column in shown),
        since_param="q[]",
        since_format="updated_at:>=%Y-%m-%dT%H:%M:%SZ",
        timeout=settings.external_api_timeout,
        retries=settings.external_api_retry_attempts,
        concurrency=0,
        rate_limit_key=f"cliniko:{key.digest}",
        pace=Pace.per_minute(settings.cliniko_rate_limit),
        link_hosts=(f"api.{key.shard}.cliniko.com",),
        user_agent=f"syncapp ({settings.cliniko_contact_email})",
    )
    return RestSource(config, rate_limit=rate_limit)


def filtered(source: RestSource, rate_limit: RateLimit, *filters: str) -> RestSource:
    """The same list, with further filters such as `starts_at:>=2025-01-01T00:00:00Z`."""
    params = (*source.config.params, *(("q[]", one) for one in filters))
    return RestSource(replace(source.config, params=params), rate_limit=rate_limit)


class InTurn:
    """Several lists, one after the other, as one source. A position names the list that it is in."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def read(self, request: ReadRequest) -> Reading:
        return Reading(lambda reading: self._read(reading, request))

    def _read(self, reading: Reading, request: ReadRequest) -> Iterator[Page]:
        number, position = request.position or (0, None)
        for place, source in enumerate(self._sources[number:], number):
            for page in reading.open(source, ReadRequest(request.since, position)):
                yield page._replace(position=self._position(place, page), total=None)
            position = None

    def _position(self, place: int, page: Page) -> Any:
        if page.position is not None:
            return place, page.position
        return (place + 1, None) if place + 1 < len(self._sources) else None


class OneByOne:
    """The records that are named by their ids, a page of them at a time. A position is the last id that was asked for.

    ids   names them; asked again after an interruption
    find  the source of those ids
    """

    def __init__(self, ids: Callable[[], Iterable[str]], find: Callable[[Sequence[str]], Source]) -> None:
        self._ids, self._find = ids, find

    def read(self, request: ReadRequest) -> Reading:
        return Reading(lambda reading: self._read(reading, request))

    def _read(self, reading: Reading, request: ReadRequest) -> Iterator[Page]:
        wanted = sorted(self._ids())
        left = [one for one in wanted if request.position is None or one > request.position]
        parts = [left[first : first + MOST_PER_PAGE] for first in range(0, len(left), MOST_PER_PAGE)]
        for part in parts:
            pages = reading.open(self._find(part), ReadRequest())
            records = [record for page in pages for record in page.records]
            yield Page(records, None if part is parts[-1] else part[-1], len(wanted))
