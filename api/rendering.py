"""JSON as the contract has it: orjson, times in RFC 3339 UTC with milliseconds and Z."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

from syncapp.times import show_time

OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return show_time(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_default, option=OPTIONS)
    except orjson.JSONEncodeError:  # a stored record may hold an integer of more than 64 bits
        return json.dumps(value, default=_default, allow_nan=False).encode()


def error_body(title: str, details: Mapping[str, Any], at: datetime) -> bytes:
    """The one shape of every error."""
    return dump({"success": False, "error": title, "details": details, "timestamp": at})


class OrjsonProvider(JSONProvider):
    def dumps(self, obj: Any, **_: Any) -> str:
        return dump(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(dump(self._prepare_response_obj(args, kwargs)), mimetype="application/json")
