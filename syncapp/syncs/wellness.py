"""The wellness app: clients and appointments from a REST API (contract, sections 1 and 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from mimesis import Person

from config.settings import Settings
from syncapp.connectors.generated import GeneratedSource
from syncapp.connectors.rest import Bearer, RestConfig, RestSource
from syncapp.definition import Every, Normalize, Policy, SourceContext, Stream, Sync
from syncapp.errors import InvalidRecord
from syncapp.fields import is_removed, read_key, read_text, read_time
from syncapp.merge.table import Table
from syncapp.models import Appointment, Client
from syncapp.records import Row
from syncapp.times import utc_text

TIME_FIELDS = ("starts_at", "start_time", "scheduled_at", "time")
MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0+)?)?(Z|[+-]\d\d:?\d\d)?$", re.ASCII | re.IGNORECASE)

CLIENT_TABLE = Table.of(Client)
APPOINTMENT_TABLE = Table.of(Appointment, client_id=CLIENT_TABLE)


def rest_source(resource: str, context: SourceContext) -> RestSource:
    settings = context.settings
    if settings.mock_api_url is None:
        raise ValueError("MOCK_API_URL is missing")  # `missing` below keeps such a sync from being started
    key = settings.mock_api_key
    return RestSource(
        RestConfig(
            base_url=settings.mock_api_url,
            resource=resource,
            auth=Bearer(key.get_secret_value()) if key else None,
            name="the wellness API",
            timeout=settings.external_api_timeout,
            retries=settings.external_api_retry_attempts,
            page_size=settings.external_api_page_size,
            concurrency=settings.external_api_concurrency,
        ),
        rate_limit=context.rate_limit,
    )


def normalize_clients(context: SourceContext) -> Normalize:
    zone = ZoneInfo(context.settings.source_timezone)

    def normalize(record: Any) -> Row:
        key = read_key(record)
        name = read_text(record, "name", key)
        if name is None:
            parts = (read_text(record, "first_name", key), read_text(record, "last_name", key))
            name = " ".join(part for part in parts if part) or None
        updated = read_time(record.get("updated_at"), "updated_at", key, zone)
        values = (name, read_text(record, "email", key), read_text(record, "phone", key), updated)
        return Row(key, values, updated, is_removed(record))

    return normalize


def normalize_appointments(context: SourceContext) -> Normalize:
    zone = ZoneInfo(context.settings.source_timezone)
    normalize_client = normalize_clients(context)

    def normalize(record: Any) -> Row:
        key = read_key(record)
        updated = read_time(record.get("updated_at"), "updated_at", key, zone)
        removed = is_removed(record)
        client = record.get("client")
        nested = isinstance(client, dict) and client.get("id") not in (None, "")
        related = {"client_id": _nested(normalize_client, client, key)} if nested else None
        client_key = related["client_id"].key if related else _client_key(record, key, removed)
        starts = _read_start(record, key, zone)
        if starts is None and not removed:
            raise InvalidRecord("the appointment has no time", external_id=key)
        values = (client_key, read_text(record, "status", key), starts, updated)
        return Row(key, values, updated, removed, related)

    return normalize


def _nested(normalize_client: Normalize, client: Any, key: str) -> Row:
    try:
        return normalize_client(client)
    except InvalidRecord as error:
        raise InvalidRecord(f"its client cannot be used: {error.message}", external_id=key) from None


def _client_key(record: dict[str, Any], key: str, removed: bool) -> str | None:
    if record.get("client_id") is None and removed:
        return None
    try:
        return read_key(record, "client_id")
    except InvalidRecord as error:
        raise InvalidRecord(error.message, external_id=key) from None


def _read_start(record: dict[str, Any], key: str, zone: tzinfo) -> str | None:
    """The appointment's time under whichever name it stands; put together with `date` where it is no time alone."""
    value = next((record[name] for name in TIME_FIELDS if record.get(name) not in (None, "")), None)
    date = record.get("date")
    if isinstance(date, str) and isinstance(value, str):
        try:
            return utc_text(value, zone)
        except ValueError:
            value = f"{MIDNIGHT.sub('', date)} {value}"
    return read_time(value, "the appointment's time", key, zone)


def missing(settings: Settings) -> Iterable[str]:
    return () if settings.mock_api_url else ("MOCK_API_URL",)


CLIENTS = Sync(
    name="clients",
    title="Clients",
    source="wellness API",
    destination="PostgreSQL: clients",
    streams=(
        Stream(
            name="clients",
            title="Clients",
            source=lambda context: rest_source("clients", context),
            normalize=normalize_clients,
            table=CLIENT_TABLE,
            mock=lambda _: GeneratedSource(_mock_client, 25),
        ),
    ),
    every=Every(cron="0 */6 * * *"),
    missing=missing,
    policy=Policy(mock_fallback=True),
)

APPOINTMENTS = Sync(
    name="appointments",
    title="Appointments",
    source="wellness API",
    destination="PostgreSQL: appointments",
    streams=(
        Stream(
            name="appointments",
            title="Appointments",
            source=lambda context: rest_source("appointments", context),
            normalize=normalize_appointments,
            table=APPOINTMENT_TABLE,
            mock=lambda _: GeneratedSource(_mock_appointment, 50),
        ),
    ),
    every=Every(cron="0 */2 * * *"),
    missing=missing,
    policy=Policy(mock_fallback=True),
)


def _mock_client(number: int, person: Person) -> dict[str, Any]:
    return {"id": f"mock-{number}", "name": person.full_name(), "email": person.email(), "phone": person.phone_number()}


def _mock_appointment(number: int, _: Person) -> dict[str, Any]:
    return {
        "id": f"mock-{number}",
        "client_id": f"mock-{number % 25 + 1}",
        "status": "booked",
        "starts_at": f"2030-01-{number % 28 + 1:02d}T{8 + number % 9:02d}:00:00Z",
    }
