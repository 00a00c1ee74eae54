"""Never faster than the source allows."""

from __future__ import annotations


class Unlimited:
    """For sources that name no limit; their 429 still parks the run."""

    def acquire(self, key: str) -> None:
        """Grants every request to `key` at once."""
        del key
