"""Deletes only after a complete, error-free read, and only below a share."""

from __future__ import annotations

from syncapp.definition import Policy
from syncapp.errors import MassDeleteRefused


def check_deletion(policy: Policy, *, missing: int, live: int, read: int, allowed: bool) -> None:
    """Raises MassDeleteRefused where `missing` of `live` rows are too many to believe, or where the read was empty."""
    if not missing or allowed:
        return
    if read == 0:
        raise MassDeleteRefused(
            f"The source sent no record at all while {live} rows are live; nothing was deleted. "
            "If the source is really empty, run again with allow_mass_delete"
        )
    large = missing > policy.guard_share * live and missing > policy.guard_rows
    half = missing > live / 2 and missing > policy.guard_rows_small
    if large or half:
        raise MassDeleteRefused(
            f"{missing} of {live} rows are missing in the source, more than is believed; nothing was deleted. "
            "If they are really gone, run again with allow_mass_delete"
        )
