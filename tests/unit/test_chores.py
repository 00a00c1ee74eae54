"""The thread that keeps at it."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import LogCapture

from syncapp.errors import DatabaseUnavailable
from tests.waiting import wait_for
from workers import chores
from workers.chores import LONGEST_PAUSE, Chore, Chores


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    captured = LogCapture()
    monkeypatch.setattr(chores, "log", structlog.wrap_logger(None, processors=[captured]))
    return captured


class Work:
    """Counts how often it is done, and raises what it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.count += 1
        if self.error is not None:
            raise self.error


def test_one_that_fails_stops_neither_the_others_nor_the_next_turn(lines: LogCapture) -> None:
    broken, sound = Work(), Work()
    broken.error = RuntimeError("a bug")
    thread = Chores("test", [Chore("broken", 0, broken), Chore("sound", 0, sound)], farewell=Work())
    for _ in range(3):
        thread.turn()
    assert (broken.count, sound.count) == (3, 3)
    assert [line["event"] for line in lines.entries] == ["chore.failed"] * 3


def test_an_outage_of_postgresql_is_one_line_and_the_others_wait(lines: LogCapture) -> None:
    first, second = Work(), Work()
    first.error = DatabaseUnavailable("away")
    thread = Chores("test", [Chore("first", 60, first), Chore("second", 60, second)], farewell=Work())
    for _ in range(10):
        thread.turn()
    assert (first.count, second.count) == (10, 0)
    assert thread._pause == LONGEST_PAUSE
    first.error = None
    thread.turn()
    assert second.count == 1
    assert [line["event"] for line in lines.entries] == ["postgres.away", "postgres.back"]


def test_a_chore_is_done_when_its_time_has_come() -> None:
    seldom = Work()
    thread = Chores("test", [Chore("seldom", 3_600, seldom)], farewell=Work())
    for _ in range(5):
        thread.turn()
    assert seldom.count == 1


def test_it_says_goodbye_and_never_blocks_the_way_out() -> None:
    work, farewell = Work(), Work()
    thread = Chores("test", [Chore("work", 0, work)], farewell)
    thread._pause = 0.01
    assert thread.daemon
    thread.start()
    wait_for(lambda: work.count > 2)
    thread.end()
    thread.join(10)
    assert farewell.count == 1
