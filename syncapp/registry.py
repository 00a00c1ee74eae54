"""Every sync of the product. A new one is a file under `syncs/` and a line here."""

from __future__ import annotations

from syncapp.definition import Sync
from syncapp.errors import NotFound
from syncapp.syncs import cliniko, properties, wellness

SYNCS: tuple[Sync, ...] = (
    wellness.CLIENTS,
    wellness.APPOINTMENTS,
    cliniko.CLINIKO,
    properties.PROPERTIES,
)


def find_sync(name: str) -> Sync:
    """Raises NotFound."""
    for sync in SYNCS:
        if sync.name == name:
            return sync
    raise NotFound(f"There is no sync {name}; there are {', '.join(sync.name for sync in SYNCS)}")
