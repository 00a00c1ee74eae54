"""One request to a demo upstream and the answer it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. Header names are lower case; `params` holds the last value of each name of the query."""

    at: datetime
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    query: str = ""
    client: str = "127.0.0.1"
    base_url: str = ""

    def number(self, name: str, default: int) -> int:
        """A positive whole number of the query, `default` where it is missing or something else."""
        text = self.params.get(name, "")
        return int(text) if text.isdecimal() and int(text) > 0 else default


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out, and how badly.

    delay      seconds before the first byte
    hang       no byte at all until the caller or the server goes away
    cut_after  the connection ends after that many bytes of the body, although all of it was announced
    drip       seconds between the bytes of the body, sent one by one
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay: float = 0.0
    hang: bool = False
    cut_after: int | None = None
    drip: float = 0.0

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(orjson.dumps(value), status, dict(headers or {}))
