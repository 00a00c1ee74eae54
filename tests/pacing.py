"""How close together requests went out. Their times are whole numbers, in order."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from syncapp.ports import Pace


def most_within(times: Sequence[int], length: int) -> int:
    """The most in any time of that length, both ends of it included."""
    most, first = 0, 0
    for last, time in enumerate(times):
        while time - times[first] > length:
            first += 1
        most = max(most, last - first + 1)
    return most


def too_close(times: Sequence[int], pace: Pace, second: int, more: int = 0) -> list[int]:
    """Which of them end a time that holds more than fits into it, the burst, and `more` beside.

    `second` is how many of their unit are in one.
    """
    spacing = Fraction(pace.seconds).limit_denominator(1_000) * second / pace.requests
    early, earliest = [], Fraction(times[0]) if times else Fraction()
    for number, time in enumerate(times):
        # behind how many of them, evenly spaced, it came; what fell behind most begins the fullest time
        behind = time - number * spacing
        earliest = max(earliest, behind)
        if behind < earliest - (pace.burst + more - 1) * spacing:
            early.append(number)
    return early
