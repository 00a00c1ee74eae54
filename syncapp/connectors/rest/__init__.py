"""Any REST API as a source: `RestSource(RestConfig(base_url=..., resource="clients", auth=Bearer(...)))`."""

from syncapp.connectors.rest.config import (
    ApiKey,
    Auto,
    Basic,
    Bearer,
    Cursor,
    HeaderLink,
    JsonLink,
    Offset,
    PageNumber,
    RestConfig,
    SinglePage,
)
from syncapp.connectors.rest.reader import PageReader
from syncapp.connectors.rest.source import RestSource

__all__ = [
    "ApiKey",
    "Auto",
    "Basic",
    "Bearer",
    "Cursor",
    "HeaderLink",
    "JsonLink",
    "Offset",
    "PageNumber",
    "PageReader",
    "RestConfig",
    "RestSource",
    "SinglePage",
]
