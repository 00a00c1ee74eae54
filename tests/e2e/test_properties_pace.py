"""How fast Cupid is asked, by its own log, with two workers that each read the whole catalogue at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import pytest

from tests.e2e.fleet import Fleet
from tests.e2e.hotels import ADMINISTRATION, Asked, batches, open_apart, open_hotels, split_at
from tests.pacing import most_within
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

PROPERTIES = 24
BATCH = 2
RATE = 6  # requests a second; half of it in the middle of the test
LATENCY = 0.4  # seconds: whoever waits for answers finds permissions that have piled up
SECOND = 1_000_000  # microseconds
LONG, SHORT = 11 * SECOND, 6 * SECOND


def test_two_workers_keep_one_rate_and_half_of_it_from_the_next_batch_on(fleet: Fleet) -> None:
    with (
        open_apart(fleet, PROPERTIES) as cupid,
        open_hotels(fleet, cupid.url, cupid.ids, SYNC_RATE_LIMIT="100", SYNC_BATCH_SIZE=str(BATCH)) as hotels,
    ):
        hotels.open(workers=2)
        assert hotels.settings()["max_concurrent"] == "5"
        hotels.sync()
        hotels.put(rate_limit=RATE)
        cupid.forget()
        cupid.fail("delay", seconds=LATENCY)
        runs = [hotels.start(), hotels.start(dry_run=True, full_refresh=True)]
        wait_for(lambda: lasts(cupid.asked(), LONG), deadline=60, what="more than ten seconds")
        hotels.put(rate_limit=RATE // 2)
        changed = len(cupid.asked())
        check_pace(cupid.asked(), RATE)
        wait_for(lambda: lasts(slower(cupid.asked(), changed), SHORT), deadline=60, what="some seconds at half of it")
        assert [hotels.fleet.run(sync_id)["attempt"] for sync_id in runs] == [1, 1]
        hotels.ask("POST", f"{ADMINISTRATION}/stop")
        assert [hotels.ended(sync_id)["status"] for sync_id in runs] == ["cancelled", "cancelled"]
        check_pace(cupid.asked(), RATE)
        check_pace(slower(cupid.asked(), changed), RATE // 2)


def slower(asked: Sequence[Asked], changed: int) -> list[Asked]:
    """What was asked once both runs had begun a batch after the change. The dry run asks for everything."""
    runs = [[one for one in asked if one.conditional == conditional] for conditional in (True, False)]
    begun = [split_at(batches(run, repeat(BATCH)), changed)[1] for run in runs]
    return list(asked[max(later[0][0].number for later in begun) :]) if all(begun) else []


def lasts(asked: Sequence[Asked], microseconds: float) -> bool:
    times = in_microseconds(asked)
    return bool(times) and times[-1] - times[0] >= microseconds


def in_microseconds(asked: Sequence[Asked]) -> list[int]:
    times = sorted(one.at for one in asked)
    return [round((time - times[0]).total_seconds() * SECOND) for time in times]


def check_pace(asked: Sequence[Asked], rate: int) -> None:
    """That it is not exceeded, and made use of: one too many in a second, none in ten."""
    times = in_microseconds(asked)
    assert most_within(times, SECOND) <= rate + 1
    assert most_within(times, 5 * SECOND) <= 5 * rate + 1
    assert most_within(times, 10 * SECOND) <= 10 * rate
    assert most_within(times, 5 * SECOND) >= 4 * rate
