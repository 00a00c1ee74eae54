"""How long to wait before the next attempt."""

from __future__ import annotations

import random

CAP = 3_600.0


def backoff_seconds(attempt: int, base: float, *, cap: float = CAP) -> float:
    """Exponential with jitter: between half and all of base * 2^(attempt - 1), at most `cap`.

    Half is kept so that the wait is one, the other half is spread so that runs that failed together come back apart.
    """
    full = min(cap, base * 2.0 ** min(attempt - 1, 30))
    return full * random.uniform(0.5, 1.0)  # noqa: S311  (spreading load, not guarding secrets)
