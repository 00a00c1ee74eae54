"""The environment, read once. Every variable of the contract has its name, type, range and default here."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import SplitResult, quote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

NO_DATABASE = "DATABASE_URL is missing (or POSTGRES_HOST, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB)"
NO_BROKER = "REDIS_URL is missing, for example redis://localhost:6379/0"
WEB_THREADS = 8  # of an API process, and its connections to PostgreSQL: fewer would be opened and closed all the time
VALID_PORTS = range(1, 65_536)
PORTS = f" (a port is a number from {VALID_PORTS[0]} to {VALID_PORTS[-1]})"
DURATION = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")


class SettingsError(Exception):
    """One or more variables are missing or wrong; the message names all of them."""


def parse_duration(value: object) -> float:
    """Seconds of `300`, `2h30m`, `24h` or `7d`. Raises ValueError."""
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    match = DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("must be seconds or a duration such as 2h30m, 24h or 7d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"must be an http:// or https:// address{PORTS}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must hold neither credentials nor a query")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    """Heroku writes postgres://, SQLAlchemy wants the driver named."""
    scheme, _, rest = value.partition("://")
    address = f"postgresql+psycopg://{rest}"
    try:
        fits = bool(rest) and _is_port(make_url(address).port)
    except (ValueError, ArgumentError):
        fits = False
    if not fits or scheme.split("+")[0] not in {"postgres", "postgresql"}:
        raise ValueError(f"must be a postgresql:// address{PORTS}")
    return address


def _redis_url(value: str) -> str:
    parts = _split(value)
    fits = parts is not None and re.fullmatch(r"/?\d*", parts.path)
    if not fits or not value.startswith(("redis://", "rediss://")):
        raise ValueError(f"must be a redis:// or rediss:// address such as redis://localhost:6379/0{PORTS}")
    return value


def _split(value: str) -> SplitResult | None:
    """None for what is no address. What urllib says of it may repeat a password."""
    try:
        parts = urlsplit(value)
        return parts if _is_port(parts.port) else None
    except ValueError:
        return None


def _is_port(port: int | None) -> bool:
    return port is None or port in VALID_PORTS


def _header_text(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII characters, for it is sent in a header")
    return SecretStr(text)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except Exception as error:
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from error
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be greater than 0")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Duration = Annotated[float, BeforeValidator(parse_duration), AfterValidator(_positive)]
HeaderText = Annotated[SecretStr, AfterValidator(_header_text)]


def _either(name: str, alias: str) -> Any:
    return AliasChoices(name, alias)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    # where everything is
    database_url: Annotated[str, AfterValidator(_database_url)] | None = None
    postgres_host: str | None = None
    postgres_port: int = Field(5432, ge=1, le=65535)
    postgres_user: str = "postgres"
    postgres_password: SecretStr | None = None
    postgres_db: str = "postgres"
    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = None
    dyno: str | None = Field(None, description="set by Heroku")
    port: int = Field(8000, ge=0, le=65535)
    flower_port: int = Field(5555, ge=0, le=65535)
    web_concurrency: int = Field(2, ge=1, le=256, description="processes of the API")
    log_level: Annotated[str, BeforeValidator(lambda v: str(v).upper())] = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$"
    )
    log_format: str = Field("auto", pattern="^(auto|json|console)$")
    syncapp_home: str = ".syncapp"
    syncapp_admin_token: HeaderText | None = None
    syncapp_secret_key: SecretStr | None = None
    default_organization_id: str = Field("default", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    cors_origins: str = ""
    trigger_rate_limit: int = Field(60, ge=1, description="triggers a minute per token")

    # the wellness API
    external_api_allow_http: bool = False  # before the address, whose check reads it
    mock_api_url: HttpUrl | None = None
    mock_api_key: HeaderText | None = None
    external_api_timeout: float = Field(30, gt=0, le=600, description="seconds")
    external_api_retry_attempts: int = Field(3, ge=0, le=10)
    external_api_concurrency: int = Field(8, ge=1, le=32, description="pages read at once where they can be addressed")
    external_api_page_size: int = Field(100, ge=1, le=10_000)
    mock_fallback: bool = False
    source_timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"

    # the engine
    full_refresh_interval: Duration = 86_400
    cursor_overlap: Duration = 300
    worker_concurrency: int = Field(
        5, ge=1, le=256, validation_alias=_either("WORKER_CONCURRENCY", "SIDEKIQ_CONCURRENCY")
    )
    worker_retry_interval: Duration = Field(
        60, validation_alias=_either("WORKER_RETRY_INTERVAL", "SIDEKIQ_RETRY_INTERVAL")
    )
    worker_max_retries: int = Field(
        3, ge=0, le=100, validation_alias=_either("WORKER_MAX_RETRIES", "SIDEKIQ_MAX_RETRIES")
    )
    sync_max_consecutive_failures: int = Field(5, ge=1, le=1_000, description="unreachable so often: the circuit opens")
    lease_seconds: Duration = Field(30, description="a run whose worker is silent for this long is taken over")
    batch_records: int = Field(1_000, ge=1, le=50_000, description="records a transaction")

    @field_validator("mock_api_url")
    @classmethod
    def _check_plain_http(cls, value: str | None, others: ValidationInfo) -> str | None:
        parts = urlsplit(value or "")
        allowed = others.data.get("external_api_allow_http", True)  # absent where that one is wrong itself
        if parts.scheme == "http" and not allowed and not _is_this_machine(parts.hostname or ""):
            raise ValueError("plain http only to this machine; use https or set EXTERNAL_API_ALLOW_HTTP=true")
        return value

    @property
    def database(self) -> str:
        """The SQLAlchemy address of PostgreSQL. Raises SettingsError where neither form is given."""
        if self.database_url:
            return self.database_url
        if not self.postgres_host:
            raise SettingsError(NO_DATABASE)
        password = f":{quote(self.postgres_password.get_secret_value(), safe='')}" if self.postgres_password else ""
        user = quote(self.postgres_user, safe="")
        return f"postgresql+psycopg://{user}{password}@{self.postgres_host}:{self.postgres_port}/{self.postgres_db}"

    @property
    def broker(self) -> str:
        """The address of Redis. Raises SettingsError where it is missing.

        Over TLS the certificate is checked, but on Heroku: its Redis shows one that it signed itself. Say otherwise
        with `?ssl_cert_reqs=none` or `required`.
        """
        if not self.redis_url:
            raise SettingsError(NO_BROKER)
        if not self.redis_url.startswith("rediss://") or "ssl_cert_reqs" in self.redis_url:
            return self.redis_url
        mark, policy = "&" if "?" in self.redis_url else "?", "none" if self.dyno else "required"
        return f"{self.redis_url}{mark}ssl_cert_reqs={policy}"


def load_settings(**overrides: Any) -> Settings:
    """Reads the environment. Raises SettingsError with one message that names every variable that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in problem["loc"]).upper()
            text = problem["msg"].removeprefix("Value error, ")
            lines.append(f"  {name}: {text}")
        raise SettingsError("These environment variables are wrong:\n" + "\n".join(lines)) from None


def require_services(settings: Settings) -> Settings:
    """Raises SettingsError naming every address that is missing."""
    missing = []
    for name in ("database", "broker"):
        try:
            getattr(settings, name)
        except SettingsError as error:
            missing.append(str(error))
    if missing:
        raise SettingsError(_missing(missing))
    return settings


@lru_cache(maxsize=1)
def settings() -> Settings:
    """This process's settings."""
    return load_settings()


def service_settings() -> Settings:
    """The settings of a process that needs PostgreSQL and Redis.

    Raises SettingsError with one message that names every variable that is wrong or missing.
    """
    try:
        found = settings()
    except SettingsError as error:
        given = {name.upper() for name, value in os.environ.items() if value}
        missing = [NO_DATABASE] if given.isdisjoint({"DATABASE_URL", "POSTGRES_HOST"}) else []
        missing += [] if "REDIS_URL" in given else [NO_BROKER]
        raise SettingsError("\n".join([str(error), *([_missing(missing)] if missing else [])])) from None
    return require_services(found)


def _missing(problems: list[str]) -> str:
    return "\n".join(["These environment variables are missing:", *(f"  {problem}" for problem in problems)])
