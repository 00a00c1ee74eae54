"""How often a token may trigger, with Redis up and with Redis down."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from limits.storage import RedisStorage

from api.limits import TriggerLimit
from config.settings import Settings
from syncapp.embedded.valkey import ValkeyServer
from tests.integration.api import Api, check_error, open_api, paused

TRIGGER = "/api/v1/sync/clients"
ROUTES = ["/api/v1/sync/all", "/api/v1/sync/force", "/api/v1/sync/appointments", "/api/v1/runs"]
STARTED = (202, 409)
NOBODY = "redis://127.0.0.1:9/0"


def use_up(api: Api, count: int, **asked: str) -> None:
    for _ in range(count):
        assert api.post(TRIGGER, **asked).status_code in STARTED


def test_past_the_limit(database_url: str, redis_url: str) -> None:
    with open_api(database_url, redis_url, trigger_rate_limit=3) as api:
        use_up(api, 3)
        details = check_error(api.post(TRIGGER), 429, "rate_limit_exceeded")
        assert 1 <= details["retry_after"] <= 61
        assert api.get("/api/v1/runs").status_code == 200  # only triggers are counted


@pytest.mark.parametrize("path", ROUTES)
def test_all_triggers_share_it(database_url: str, redis_url: str, path: str) -> None:
    with open_api(database_url, redis_url, trigger_rate_limit=2) as api:
        use_up(api, 2)
        check_error(api.post(path, json={"sync": "clients"}), 429, "rate_limit_exceeded")


def test_each_token_has_its_own(database_url: str, redis_url: str) -> None:
    with open_api(database_url, redis_url, trigger_rate_limit=2) as api:
        use_up(api, 2)
        token = api.make_token("default")
        use_up(api, 2, token=token)
        check_error(api.post(TRIGGER, token=token), 429)


def test_all_processes_share_it(database_url: str, redis_url: str) -> None:
    with open_api(database_url, redis_url, trigger_rate_limit=2) as one:
        use_up(one, 2)
        with open_api(database_url, redis_url, trigger_rate_limit=2) as other:
            check_error(other.post(TRIGGER), 429)


def test_bad_tokens_and_bad_requests(database_url: str, redis_url: str) -> None:
    with open_api(database_url, redis_url, trigger_rate_limit=2) as api:
        for _ in range(3):
            check_error(api.post(TRIGGER, token="nobody"), 401)
        use_up(api, 2)


def test_with_redis_down_it_holds_in_the_process(database_url: str) -> None:
    with open_api(database_url, NOBODY, trigger_rate_limit=3) as api:
        use_up(api, 3)
        check_error(api.post(TRIGGER), 429, "rate_limit_exceeded")
        assert api.get("/api/v1/runs").status_code == 200


@pytest.mark.parametrize(("dyno", "policy"), [("web.1", "none"), (None, "required")])
def test_over_tls_it_trusts_whom_the_broker_trusts(dyno: str | None, policy: str) -> None:
    """Heroku's Redis shows a certificate that it signed itself."""
    limit: Any = TriggerLimit(Settings(redis_url="rediss://127.0.0.1:9/0", dyno=dyno))
    assert limit._everywhere.storage.storage.connection_pool.connection_kwargs["ssl_cert_reqs"] == policy


def test_a_silent_redis_is_asked_rarely(
    database_url: str, redis_url: str, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused, it takes connections and answers nothing: what costs is waiting for it, so few requests may."""
    monkeypatch.setattr("api.limits.COOL_DOWN", 600.0)
    asked: list[Any] = []
    ask = RedisStorage.acquire_sliding_window_entry
    monkeypatch.setattr(
        RedisStorage, "acquire_sliding_window_entry", lambda *given, **more: asked.append(given) or ask(*given, **more)
    )
    with open_api(database_url, redis_url) as api:
        use_up(api, 2)
        with paused(valkey):
            use_up(api, 40)
    assert len(asked) == 3


def test_it_counts_in_redis_again_once_that_is_back(
    database_url: str, redis_url: str, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.limits.COOL_DOWN", 0.0)
    with open_api(database_url, redis_url, trigger_rate_limit=2) as api:
        use_up(api, 1)
        valkey.stop()
        use_up(api, 2)
        check_error(api.post(TRIGGER), 429)
        valkey.start()
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
            use_up(api, 2)
            assert client.keys("*environment*")
        check_error(api.post(TRIGGER), 429)
