"""How many deletes are believed."""

from __future__ import annotations

import pytest

from syncapp.definition import Policy
from syncapp.engine.deletion import check_deletion
from syncapp.errors import MassDeleteRefused


def refused(missing: int, live: int, read: int = 1) -> bool:
    try:
        check_deletion(Policy(), missing=missing, live=live, read=read, allowed=False)
    except MassDeleteRefused:
        return True
    return False


@pytest.mark.parametrize(
    ("missing", "live", "expected"),
    [
        (0, 0, False),
        (0, 10, False),
        (10, 10, False),
        (11, 20, True),
        (10, 20, False),
        (11, 22, False),
        (100, 400, False),
        (101, 400, True),
        (101, 505, False),
        (102, 505, True),
        (100_000, 1_000_000, False),
    ],
)
def test_the_guard(missing: int, live: int, expected: bool) -> None:
    assert refused(missing, live) is expected


def test_an_empty_read_deletes_nothing_however_small_the_table() -> None:
    assert refused(1, 1, read=0)
    check_deletion(Policy(), missing=1, live=1, read=0, allowed=True)
