"""The environment, read once. Every variable of the contract has its name, type, range and default here."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.values import (
    DatabaseUrl,
    Duration,
    Email,
    HeaderText,
    HttpUrl,
    Languages,
    PropertyIds,
    RedisUrl,
    SecretKey,
    ShardedUrl,
    Timezone,
    is_this_machine,
)

NO_DATABASE = "DATABASE_URL is missing (or POSTGRES_HOST, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB)"
NO_BROKER = "REDIS_URL is missing, for example redis://localhost:6379/0"
NO_SECRET_KEY = "SYNCAPP_SECRET_KEY is missing: 32 random characters or more, under which credentials are encrypted"  # noqa: S105
WEB_THREADS = 8  # of an API process, and its connections to PostgreSQL: fewer would be opened and closed all the time


class SettingsError(Exception):
    """One or more variables are missing or wrong; the message names all of them."""


def _either(name: str, alias: str) -> Any:
    return AliasChoices(name, alias)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    # where everything is
    database_url: DatabaseUrl | None = None
    postgres_host: str | None = None
    postgres_port: int = Field(5432, ge=1, le=65535)
    postgres_user: str = "postgres"
    postgres_password: SecretStr | None = None
    postgres_db: str = "postgres"
    redis_url: RedisUrl | None = None
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
    syncapp_secret_key: SecretKey | None = None
    syncapp_secret_key_previous: SecretKey | None = None
    default_organization_id: str = Field("default", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    cors_origins: str = ""
    trigger_rate_limit: int = Field(60, ge=1, description="triggers a minute per token")

    external_api_allow_http: bool = False  # before the addresses, whose check reads it

    # tokens of an identity provider
    auth_jwks_url: HttpUrl | None = None
    auth_issuer: str | None = None
    auth_audience: str | None = None
    auth_organization_claim: str = "org_id"
    auth_admin_claim: str | None = None
    auth_admin_value: str | None = None

    # the wellness API
    mock_api_url: HttpUrl | None = None
    mock_api_key: HeaderText | None = None
    external_api_timeout: float = Field(30, gt=0, le=600, description="seconds")
    external_api_retry_attempts: int = Field(3, ge=0, le=10)
    external_api_concurrency: int = Field(8, ge=1, le=32, description="pages read at once where they can be addressed")
    external_api_page_size: int = Field(100, ge=1, le=10_000)
    mock_fallback: bool = False
    source_timezone: Timezone = "UTC"

    # Cliniko
    cliniko_api_url: ShardedUrl = "https://api.{shard}.cliniko.com/v1"
    cliniko_contact_email: Email = "nobody@example.com"
    cliniko_rate_limit: int = Field(180, ge=1, le=200, description="requests a minute per API key")
    active_days_back: int = Field(45, ge=0, le=3_650)
    active_days_ahead: int = Field(30, ge=0, le=3_650)
    enable_sync_scheduler: bool = True
    sync_interval_minutes: int = Field(60, ge=1, le=44_640)

    # Cupid: the first values of what `sync_settings` and the schedule hold afterwards, and where its properties are
    cupid_api_url: HttpUrl = "https://content-api.cupid.travel/v3.0"
    cupid_api_key: HeaderText | None = None
    cupid_property_ids: PropertyIds | None = None
    cupid_property_ids_file: str | None = None
    cupid_languages: Languages = ("fr", "es")
    sync_interval: Duration = Field(43_200, ge=300, le=604_800)
    sync_batch_size: int = Field(10, ge=1, le=100)
    sync_max_concurrent: int = Field(5, ge=1, le=32)
    sync_retry_attempts: int = Field(3, ge=0, le=10)
    sync_enable_auto: bool = True
    sync_rate_limit: int = Field(10, ge=1, le=100)

    # the engine
    full_refresh_interval: Duration | None = Field(None, description="each sync's own where unset")
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
    max_runs_per_organization: int = Field(4, ge=1, le=1_000, description="in workers' hands at once")
    run_slice: Duration = Field(60, description="a worker's run gives way after this long, where others wait")
    batch_records: int = Field(1_000, ge=1, le=50_000, description="records a transaction")

    @field_validator("mock_api_url", "cliniko_api_url", "cupid_api_url", "auth_jwks_url")
    @classmethod
    def _check_plain_http(cls, value: str | None, others: ValidationInfo) -> str | None:
        parts = urlsplit(value or "")
        allowed = others.data.get("external_api_allow_http", True)  # absent where that one is wrong itself
        if parts.scheme == "http" and not allowed and not is_this_machine(parts.hostname or ""):
            raise ValueError("plain http only to this machine; use https or set EXTERNAL_API_ALLOW_HTTP=true")
        return value

    @model_validator(mode="after")
    def _check_pairs(self) -> Settings:
        pairs = (("auth_jwks_url", "auth_issuer"), ("auth_admin_claim", "auth_admin_value"))
        for pair in pairs:
            if len({getattr(self, name) is None for name in pair}) > 1:
                raise ValueError(f"{' and '.join(pair).upper()} are set together, or neither")
        return self

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
            lines.append(f"  {name}: {text}" if name else f"  {text}")
        raise SettingsError("These environment variables are wrong:\n" + "\n".join(lines)) from None


def require_services(settings: Settings) -> Settings:
    """Raises SettingsError naming everything that is missing."""
    missing = [] if settings.syncapp_secret_key else [NO_SECRET_KEY]
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
        missing += [] if "SYNCAPP_SECRET_KEY" in given else [NO_SECRET_KEY]
        raise SettingsError("\n".join([str(error), *([_missing(missing)] if missing else [])])) from None
    return require_services(found)


def _missing(problems: list[str]) -> str:
    return "\n".join(["These environment variables are missing:", *(f"  {problem}" for problem in problems)])
