"""For whom something is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The organization a request, run or command works for. Only `EVERYONE` sees all of them."""

    organization_id: str | None


EVERYONE = Scope(None)
