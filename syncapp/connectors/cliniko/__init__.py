"""Cliniko: what its API wants to be asked, and how it answers (docs/cliniko.md)."""

from syncapp.connectors.cliniko.key import ClinikoKey, read_key
from syncapp.connectors.cliniko.records import normalizer
from syncapp.connectors.cliniko.sources import InTurn, OneByOne, listing

__all__ = ["ClinikoKey", "InTurn", "OneByOne", "listing", "normalizer", "read_key"]
