"""When an identity provider is asked for its keys, and what holds while it cannot be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.identity import ASK_AGAIN, ASK_AGAIN_WITHOUT_KEYS, FRESH, ProviderKeys
from syncapp.demo.server import DemoServer
from syncapp.errors import ConnectionFailed
from tests.identity import Provider, open_provider, published
from tests.waiting import wait_for


class Time:
    """A clock that is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("api.identity.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with open_provider() as made:
        yield made


@pytest.fixture
def keys(provider: Provider, clock: Time) -> ProviderKeys:
    return ProviderKeys(provider.jwks_url)


def test_known_keys_are_not_asked_for_again(provider: Provider, keys: ProviderKeys, clock: Time) -> None:
    for _ in range(100):
        assert keys.find("first") is not None
    clock.now += FRESH - 1
    assert keys.find("first") is not None
    assert provider.times_asked == 1


def test_a_new_key_is_found_after_a_while(provider: Provider, keys: ProviderKeys, clock: Time) -> None:
    assert keys.find("first") is not None
    provider.keys.append(published("ES256", "second"))
    assert keys.find("second") is None
    clock.now += ASK_AGAIN
    assert keys.find("second") is not None
    assert provider.times_asked == 2


def test_a_key_that_was_withdrawn_is_no_longer_good(provider: Provider, keys: ProviderKeys, clock: Time) -> None:
    assert keys.find("first") is not None
    provider.keys = [published("ES256", "second")]
    clock.now += FRESH
    assert keys.find("first") is None
    assert keys.find("second") is not None


def test_a_flood_of_made_up_keys_does_not_reach_the_provider(
    provider: Provider, keys: ProviderKeys, clock: Time
) -> None:
    def flood() -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(keys.find, (f"made up {number}" for number in range(200))))
        assert found == [None] * 200

    flood()
    assert provider.times_asked == 1
    clock.now += ASK_AGAIN - 1
    flood()
    assert provider.times_asked == 1
    clock.now += 1
    flood()
    assert provider.times_asked == 2


def test_a_provider_that_is_away_and_no_key_is_known(provider: Provider, keys: ProviderKeys, clock: Time) -> None:
    provider.server.fail("status", status=503)
    for key in ("first", "second", "first"):
        with pytest.raises(ConnectionFailed) as caught:
            keys.find(key)
        assert caught.value.retry_after == ASK_AGAIN_WITHOUT_KEYS
    assert provider.times_asked == 1
    provider.server.faults.clear()
    clock.now += ASK_AGAIN_WITHOUT_KEYS
    assert keys.find("first") is not None


def test_known_keys_are_good_while_the_provider_is_away(provider: Provider, keys: ProviderKeys, clock: Time) -> None:
    assert keys.find("first") is not None
    provider.server.fail("reset")
    clock.now += 100 * FRESH
    for _ in range(10):
        assert keys.find("first") is not None
    assert provider.times_asked == 2
    with pytest.raises(ConnectionFailed) as caught:
        keys.find("second")
    assert caught.value.retry_after == ASK_AGAIN


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("status", {"status": 404}),
        ("reset", {}),
        ("cut", {"amount": 20}),
        ("html", {}),
        ("body", {"text": ""}),
        ("body", {"text": "[]"}),
        ("body", {"text": "{}"}),
        ("body", {"text": '{"keys": []}'}),
        ("body", {"text": '{"keys": "none"}'}),
        ("body", {"text": '{"keys": [{"kty": "RSA"}, {"kid": "first"}]}'}),
        ("truncate", {"amount": 100}),
    ],
)
def test_an_answer_that_is_none(provider: Provider, keys: ProviderKeys, kind: str, details: dict[str, Any]) -> None:
    provider.server.fail(kind, **details)
    with pytest.raises(ConnectionFailed) as caught:
        keys.find("first")
    assert caught.value.message == "The identity provider's keys cannot be fetched, so the token cannot be checked"


def test_no_redirect_is_followed(provider: Provider, keys: ProviderKeys) -> None:
    """Whoever can redirect the request could put their own keys in the provider's place."""
    with DemoServer(app=provider.answer) as elsewhere:
        provider.server.fail("redirect", text=f"{elsewhere.url}/keys")
        with pytest.raises(ConnectionFailed):
            keys.find("first")
        assert len(elsewhere.requests) == 0


def test_a_silent_provider_holds_nobody_up_whose_key_is_known(
    provider: Provider, keys: ProviderKeys, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.identity.PATIENCE", 0.05)
    assert keys.find("first") is not None
    provider.server.fail("hang")
    clock.now += FRESH
    asking = threading.Thread(target=keys.find, args=("first",))
    asking.start()
    wait_for(lambda: provider.times_asked == 2, what="one thread asks")
    for _ in range(100):
        assert keys.find("first") is not None
    with pytest.raises(ConnectionFailed):
        keys.find("second")
    assert provider.times_asked == 2
    provider.server.stop()
    asking.join()


def test_it_is_asked_as_syncapp(provider: Provider, keys: ProviderKeys) -> None:
    keys.find("first")
    [request] = provider.server.requests
    assert (request.method, request.headers["user-agent"]) == ("GET", "syncapp")
