"""The fast path into PostgreSQL."""

from syncapp.merge.destination import TableDestination
from syncapp.merge.table import Column, Reference, Table

__all__ = ["Column", "Reference", "Table", "TableDestination"]
