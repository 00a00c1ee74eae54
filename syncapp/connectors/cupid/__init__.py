"""Cupid's content API: hotel properties by their ids, with reviews and translations."""

from syncapp.connectors.cupid.ids import followed_ids, missing_file
from syncapp.connectors.cupid.records import LISTS, RULES, normalizer
from syncapp.connectors.cupid.source import CupidSource, cupid_config

__all__ = ["LISTS", "RULES", "CupidSource", "cupid_config", "followed_ids", "missing_file", "normalizer"]
