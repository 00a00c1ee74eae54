"""What a wrong, missing or hostile environment leads to."""

from __future__ import annotations

import pytest

from config.settings import Settings, SettingsError, load_settings, require_services
from config.values import parse_duration


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "POSTGRES_HOST", "DYNO", "MOCK_API_URL"):
        monkeypatch.delenv(name, raising=False)


def test_every_wrong_variable_is_named_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "DATABASE_URL": "mysql://root:secret-word@db/x",
        "REDIS_URL": "http://redis",
        "EXTERNAL_API_TIMEOUT": "soon",
        "SIDEKIQ_CONCURRENCY": "0",
        "FULL_REFRESH_INTERVAL": "-1h",
        "SOURCE_TIMEZONE": "Mars/Olympus",
        "LOG_LEVEL": "chatty",
        "MOCK_API_URL": "http://api.example.com",
        "MOCK_API_KEY": "secret-wörd",
        "SYNCAPP_ADMIN_TOKEN": "secret-word\n2",
        "WEB_CONCURRENCY": "abc",
        "DEFAULT_ORGANIZATION_ID": "no spaces please",
        "PORT": "70000",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    named = {"WORKER_CONCURRENCY" if name == "SIDEKIQ_CONCURRENCY" else name for name in wrong}
    assert [name for name in named if name not in message] == []
    assert "secret-w" not in message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "mock_api_url",
            [
                "ftp://x",
                "https://",
                "https://user:pa55@x",
                "https://x/?key=pa55",
                "https://x/#pa55",
                "https://x:99999",
                "https://x:0",
                "https://pa55:abc",
                "https://[pa55",
            ],
        ),
        (
            "database_url",
            ["mysql://u:pa55@h/d", "postgresql://", "postgresql://u:pa55@h:99999/d", "postgresql://u:pa55@h:pa55/d"],
        ),
        (
            "redis_url",
            ["http://h", "redis", "redis:h", "redis://:pa55@h:99999", "redis://:pa55/pa55@h:1", "redis://h:1/pa55"],
        ),
    ],
)
def test_addresses_that_no_client_could_use(name: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(SettingsError, match=name.upper()) as caught:
            load_settings(**{name: value})
        assert "pa55" not in str(caught.value)


@pytest.mark.parametrize("token", ["x", "with a blank", " about it \n"])
def test_any_token_that_can_be_sent_is_taken(token: str) -> None:
    found = load_settings(syncapp_admin_token=token).syncapp_admin_token
    assert found is not None
    assert found.get_secret_value() == token.strip()


@pytest.mark.parametrize("token", [" ", "two\nlines", "zwölf", "\x00"])
def test_a_token_that_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="SYNCAPP_ADMIN_TOKEN: must be printable ASCII"):
        load_settings(syncapp_admin_token=token)


def test_missing_services_are_named_together() -> None:
    with pytest.raises(SettingsError, match=r"(?s)SYNCAPP_SECRET_KEY.*DATABASE_URL.*REDIS_URL"):
        require_services(load_settings())


@pytest.mark.parametrize("rest", ["u:pa/s:s?s@h:5/d", "/d?host=/tmp", "[::1]:5/d", "u@h/d?a=x@y:z"])
def test_addresses_of_postgresql_that_are_usual(rest: str) -> None:
    assert load_settings(database_url=f"postgresql://{rest}").database == f"postgresql+psycopg://{rest}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://u:p@h:5/d?sslmode=require")
    assert settings.database == "postgresql+psycopg://u:p@h:5/d?sslmode=require"


def test_postgres_variables_in_place_of_an_address() -> None:
    settings = Settings(postgres_host="db", postgres_user="u@x", postgres_password="p:/@", postgres_db="d")  # type: ignore[arg-type]
    assert settings.database == "postgresql+psycopg://u%40x:p%3A%2F%40@db:5432/d"


def test_redis_over_tls_is_checked_but_on_heroku() -> None:
    assert Settings(redis_url="redis://h:1/0").broker == "redis://h:1/0"
    assert Settings(redis_url="rediss://h:1/0").broker == "rediss://h:1/0?ssl_cert_reqs=required"
    assert Settings(redis_url="rediss://h:1?a=b", dyno="web.1").broker == "rediss://h:1?a=b&ssl_cert_reqs=none"
    own = "rediss://h:1?ssl_cert_reqs=optional"
    assert Settings(redis_url=own).broker == own


def test_old_names_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEKIQ_MAX_RETRIES", "7")
    monkeypatch.setenv("SIDEKIQ_RETRY_INTERVAL", "90")
    settings = load_settings()
    assert (settings.worker_max_retries, settings.worker_retry_interval) == (7, 90.0)


def test_plain_http_only_to_this_machine() -> None:
    with pytest.raises(SettingsError, match="MOCK_API_URL"):
        load_settings(mock_api_url="http://api.example.com")
    assert load_settings(mock_api_url="http://127.0.0.1:1/v1/").mock_api_url == "http://127.0.0.1:1/v1"
    assert load_settings(mock_api_url="http://api.example.com", external_api_allow_http=True).mock_api_url


def test_an_address_that_only_looks_like_this_machine() -> None:
    for address in ("http://127.evil.example", "http://localhost.evil.example", "HTTP://evil.example"):
        with pytest.raises(SettingsError, match="MOCK_API_URL"):
            load_settings(mock_api_url=address)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("2h30m", 9_000), ("24h", 86_400), ("7d", 604_800), ("1.5", 1.5), (60, 60), ("1d2h3m4s", 93_784)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5x", "h", "1h 2m", None])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)
