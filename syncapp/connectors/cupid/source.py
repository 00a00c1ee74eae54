"""Cupid's properties as a source: a page is a batch of ids from the list that is followed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from config.settings import Settings
from syncapp.connectors.cupid.fetch import Fetcher, Found, Mark, Outcome, Unchanged, Unread
from syncapp.connectors.rest import ApiKey, RestConfig
from syncapp.connectors.rest.reader import WireReader
from syncapp.connectors.rest.source import time_once, utc_now
from syncapp.connectors.rest.wire import Wire
from syncapp.errors import NotFound, RequestRejected, SyncError
from syncapp.ports import Pace, RateLimit, ReadRequest
from syncapp.records import Failure, Json, Page

IN_A_ROW = 5
WITNESSES = 3


def cupid_config(settings: Settings) -> RestConfig:
    """Raises ValueError for a key that cannot stand in a header."""
    key = settings.cupid_api_key.get_secret_value() if settings.cupid_api_key else ""
    return RestConfig(
        base_url=settings.cupid_api_url,
        resource="property",
        auth=ApiKey(key, name="x-api-key"),
        name="Cupid",
        code_prefix="CUPID_API",
        timeout=settings.external_api_timeout,
        pace=Pace.per_second(settings.sync_rate_limit),
        rate_limit_key="cupid",
    )


@dataclass(frozen=True)
class CupidSource:
    """Properties by their ids. A position is the last id that was read.

    ids        which ones, ascending; asked again after an interruption
    languages  of the translations
    settings   `batch_size`, `max_concurrent`, `retry_attempts` and `rate_limit` (a second) as they are now; asked for
               before every batch
    marks      what was kept of these properties when they were read, of those that still stand as they were read
    form       of the rows that are made of them: marks of another one are of no use
    patience   so many properties in a row that cannot be read, or one of which Cupid says when to ask again, raise the
               question whether any can: another one is asked for. Where that fails too, or none of the list could be
               read, it is no property's trouble. None: never

    A property that cannot be read is a failure of its page: unknown (4xx), failing (5xx, timeouts, after all attempts),
    or not understood. Raises ConnectionFailed, RateLimited, CredentialsRefused, RequestRejected, InvalidData.
    """

    config: RestConfig
    rate_limit: RateLimit
    ids: Callable[[], Sequence[int]]
    languages: Sequence[str]
    settings: Callable[[], Mapping[str, int]]
    marks: Callable[[Sequence[int]], Mapping[int, Mark]]
    form: str
    patience: int | None = IN_A_ROW

    def read(self, request: ReadRequest) -> CupidReader:
        return CupidReader(self, request, Wire(self.config, self.rate_limit, utc_now))

    def ping(self) -> float:
        """Asks once for the first property; the milliseconds that it took. Raises what a read would, but for one that
        Cupid does not know: it has answered."""

        def ask(config: RestConfig) -> None:
            wire = Wire(config, None, utc_now)
            try:
                wire.receive(wire.send(f"{config.path}/{self.ids()[0]}"))
            except RequestRejected as answered:
                if not wire.messages.says_absent(answered):
                    raise
            finally:
                wire.close()

        return time_once(self.config, self.rate_limit, ask)


class CupidReader(WireReader):
    def __init__(self, source: CupidSource, request: ReadRequest, wire: Wire) -> None:
        super().__init__(wire)
        self._source = source
        self._position = request.position
        self._fetcher = Fetcher(wire, source.languages)
        self._good: int | None = None  # the last one that was read
        self._unread = 0  # in a row

    def _read(self) -> Generator[Page, None, None]:
        try:
            ids = self._source.ids()
            left = [one for one in ids if self._position is None or one > self._position]
            while left:
                size = self._tune()["batch_size"]
                batch, left = left[:size], left[size:]
                outcomes, error = self._fetcher.fetch(batch, self._source.marks(batch))
                if error is not None:
                    yield from self._rescue(outcomes, len(ids))
                    raise error
                self._blame(outcomes, ids, is_last=not left)
                yield self._page(outcomes, batch[-1] if left else None, len(ids))
            self._ended = True
        finally:
            self._wire.close()

    def _tune(self) -> Mapping[str, int]:
        """The settings hold from one batch to the next."""
        settings = self._source.settings()
        self._wire.tune(retries=settings["retry_attempts"], pace=Pace.per_second(settings["rate_limit"]))
        self._fetcher.width = settings["max_concurrent"]
        return settings

    def _rescue(self, outcomes: list[Outcome], total: int) -> Iterator[Page]:
        """What was there before an error ended the batch: an API that allows less than one at a time is read as well.

        Those that failed last may have met the same error.
        """
        while outcomes and isinstance(outcomes[-1], Unread):
            outcomes.pop()
        if outcomes:
            yield self._page(outcomes, outcomes[-1].property_id, total)

    def _blame(self, outcomes: Sequence[Outcome], ids: Sequence[int], *, is_last: bool) -> None:
        """Raises the error of a property where it is no matter of this one alone."""
        if self._source.patience is None:
            return
        error: SyncError | None = None
        asks_to_wait = False
        for outcome in outcomes:
            if not isinstance(outcome, Unread):
                self._good, self._unread = outcome.property_id, 0
            else:
                error = outcome.error
                asks_to_wait = asks_to_wait or getattr(error, "retry_after", None) is not None
                self._unread += not isinstance(error, RequestRejected)  # what is unknown says nothing of the others
        if error is not None and (asks_to_wait or self._unread >= self._source.patience):
            if not any(self._fetcher.can_read(one) for one in self._witnesses(outcomes, ids)):
                raise error
            self._unread = 0  # these are in trouble, and others are not
        if error is not None and is_last and self._good is None and self._position is None:
            raise error

    def _witnesses(self, outcomes: Sequence[Outcome], ids: Sequence[int]) -> Sequence[int]:
        """The one that was read last, which another failure of says that it is Cupid; else some of other batches."""
        if self._good is not None:
            return [self._good]
        batch = {outcome.property_id for outcome in outcomes}
        others = [one for one in ids if one not in batch]
        return others[:: max(1, len(others) // WITNESSES)][:WITNESSES]

    def _page(self, outcomes: Sequence[Outcome], position: int | None, total: int) -> Page:
        form = self._source.form
        found = [one for one in outcomes if isinstance(one, Found)]
        records: list[Json] = [one.record for one in found]
        records += [{"property_id": one.property_id} for one in outcomes if isinstance(one, Unchanged)]
        failures = [self._failure(one) for one in outcomes if isinstance(one, Unread)]
        marks = {str(one.property_id): {"form": form, "parts": one.mark} if one.mark else None for one in found}
        return Page(records, position, total, failures=failures, marks=marks)

    def _failure(self, unread: Unread) -> Failure:
        """What Cupid does not know is another matter than a Cupid that cannot be reached."""
        key, error = unread
        kind = NotFound.error_type if self._wire.messages.says_absent(error) else error.error_type
        return Failure(str(key), kind, error.message, {"property_id": key})
