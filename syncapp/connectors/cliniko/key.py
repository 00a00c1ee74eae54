"""An API key of Cliniko: an opaque text whose last part names the region."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from syncapp.errors import ValidationFailed

FIRST_SHARD = "au1"  # of keys that are older than the others
SHARD = re.compile(r"[a-z]{2}\d{1,2}")
LONGEST = 512


@dataclass(frozen=True, slots=True)
class ClinikoKey:
    """`shard` is the region, `au4`. Source: docs.api.cliniko.com, guides/sharding."""

    value: str = field(repr=False)
    shard: str

    @property
    def digest(self) -> str:
        """What the key may be known by elsewhere, the same with its region and without."""
        body, mark, suffix = self.value.rpartition("-")
        same = body if mark and suffix.lower() == self.shard else self.value
        return hashlib.sha256(same.encode()).hexdigest()[:20]


def read_key(text: str) -> ClinikoKey:
    """The region stands behind the last `-`; where there is none it is the first one. Raises ValidationFailed."""
    value = text.strip()
    if not value or len(value) > LONGEST or not value.isascii() or not value.isprintable() or {" ", ":"} & set(value):
        rule = f"Must be a Cliniko API key: 1 to {LONGEST} printable ASCII characters without blanks or colons."
        raise ValidationFailed("That is no Cliniko API key", details={"fields": {"api_key": [rule]}})
    suffix = value.rpartition("-")[2].lower() if "-" in value else ""
    return ClinikoKey(value, suffix if SHARD.fullmatch(suffix) else FIRST_SHARD)
