"""Structured logs: lines for people in a terminal, JSON elsewhere; the same for syncapp, its libraries and servers."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.settings import Settings

MASK = "***"
SECRET_NAMES = re.compile(
    r"(?i)(?:^|_)(?:token|password|passwd|secret|authorization|api_?key|secret_key|cookie|credentials?)$"
)
SECRET_TEXT = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@"), rf"\1:{MASK}@"),
    (re.compile(r"\bsyncapp_[A-Za-z0-9_-]{20,}"), MASK),
)
QUIET = ("urllib3", "alembic.runtime.plugins", "werkzeug")


def configure_logging(settings: Settings, process: str) -> None:
    """Sends every log line of this process to standard error. `process` (api, worker, beat, cli) stands in each.

    Values bound with `structlog.contextvars` (request_id, sync_id, sync, organization_id) stand in each line too.
    Secrets of the settings, and whatever looks like one, are masked.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Stamp(process),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_finish(settings, handler))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _finish(settings: Settings, handler: logging.StreamHandler[Any]) -> list[Processor]:
    """The last steps of a line: traceback, masks, JSON or text."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and handler.stream.isatty())
    steps: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if console:
        render: Processor = structlog.dev.ConsoleRenderer(
            colors=handler.stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    else:
        render = structlog.processors.JSONRenderer(serializer=_dumps)
    return [*steps, structlog.processors.format_exc_info, Mask(settings), render]


def _dumps(value: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # a line must never be lost for an integer of more than 64 bits
        return json.dumps(value, default=str)


class _Stamp:
    """Says which process writes."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = self._process
        return event


class Mask:
    """Takes secrets out of a line: by the name of the value, by its look, and those that the settings hold."""

    def __init__(self, settings: Settings) -> None:
        held = (
            settings.syncapp_admin_token,
            settings.syncapp_secret_key,
            settings.syncapp_secret_key_previous,
            settings.mock_api_key,
            settings.postgres_password,
        )
        values = [secret.get_secret_value() for secret in held if secret is not None]
        self._known = [value for value in values if len(value) >= 6]

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name, value in event.items():
            event[name] = MASK if SECRET_NAMES.search(name) and value else self._clean(value)
        return event

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean_text(value)
        if isinstance(value, dict):
            return {
                name: MASK if SECRET_NAMES.search(str(name)) and inner else self._clean(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._clean(inner) for inner in value]
        return value

    def _clean_text(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, MASK)
        for pattern, replacement in SECRET_TEXT:
            text = pattern.sub(replacement, text)
        return text
