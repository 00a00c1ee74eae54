"""Which properties are followed: a variable, a file, or the list that comes with the product."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from config.settings import Settings
from config.values import parse_property_ids
from syncapp.errors import CredentialsMissing

SHIPPED = "property_ids.txt"
COMMENT = "#"


def followed_ids(settings: Settings) -> tuple[int, ...]:
    """Sorted. The file has one a line, with blank lines and comments behind `#`; it is read anew each time.

    Raises CredentialsMissing that names the file where it cannot be read or holds something else.
    """
    if settings.cupid_property_ids:
        return settings.cupid_property_ids
    name = settings.cupid_property_ids_file
    if name is None:
        return _parse(files(__package__).joinpath(SHIPPED).read_text())
    try:
        return _parse(Path(name).read_text())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CredentialsMissing(f"CUPID_PROPERTY_IDS_FILE {name} cannot be used: {why}") from None


def missing_file(settings: Settings) -> list[str]:
    """What is to be mended where the file is named and is not there; it is not read."""
    name = settings.cupid_property_ids_file
    if settings.cupid_property_ids or name is None or os.access(name, os.R_OK):
        return []
    return [f"CUPID_PROPERTY_IDS_FILE ({name} cannot be read)"]


def _parse(text: str) -> tuple[int, ...]:
    lines = (line.partition(COMMENT)[0].strip() for line in text.splitlines())
    return parse_property_ids(",".join(filter(None, lines)))
