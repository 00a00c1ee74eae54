"""Which tokens of an identity provider are taken, and whom they stand for."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.identity import ALGORITHMS, IdentityProvider
from syncapp.commands import Caller
from syncapp.errors import Forbidden, Unauthorized
from tests.identity import Provider, open_provider, private_key, published

ADMINS = {"auth_admin_claim": "https://example.com/role", "auth_admin_value": "admin"}
NOW = int(time.time())
SECRET = b"a-secret-that-is-shared-among-many-of-them"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with open_provider() as made:
        yield made


def identify(provider: Provider, token: str, **settings: Any) -> Caller:
    return IdentityProvider(provider.settings(**settings)).identify(token)


def refused(provider: Provider, token: str, code: str = "TOKEN_INVALID", **settings: Any) -> str:
    """Why it is."""
    with pytest.raises(Unauthorized) as caught:
        identify(provider, token, **settings)
    assert caught.value.error_code == code
    return caught.value.message


def part(value: Any) -> str:
    return encoded(orjson.dumps(value))


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def signed_with_secret(signing: str, secret: bytes) -> str:
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{signing}.{encoded(algorithm.sign(signing.encode(), secret))}"


def test_a_member_of_the_organization_that_is_claimed(provider: Provider) -> None:
    found = identify(provider, provider.sign(org_id="acme"))
    assert found == Caller(None, "user:auth0|42", "member", "acme")
    assert found.actor == "user:auth0|42"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_asymmetric_algorithm(provider: Provider, algorithm: str) -> None:
    provider.keys = [published(algorithm, "first")]
    assert identify(provider, provider.sign(algorithm)).organization_id == "default"


@pytest.mark.parametrize("claimed", [None, "", 7, ["default"], {"id": "default"}, "a b", "default\n", "x" * 65, "a\0"])
def test_no_organization_is_claimed(provider: Provider, claimed: Any) -> None:
    with pytest.raises(Forbidden, match="names no organization in its claim org_id"):
        identify(provider, provider.sign(org_id=claimed))


def test_the_claim_has_another_name(provider: Provider) -> None:
    settings = {"auth_organization_claim": "https://example.com/org"}
    token = provider.sign(**{"https://example.com/org": "acme"})
    assert identify(provider, token, **settings).organization_id == "acme"
    with pytest.raises(Forbidden):
        identify(provider, provider.sign(), **settings)


@pytest.mark.parametrize("organization", ["acme", None])
def test_an_admin_has_exactly_the_value(provider: Provider, organization: str | None) -> None:
    token = provider.sign(**{"https://example.com/role": "admin"}, org_id=organization)
    assert identify(provider, token, **ADMINS) == Caller(None, "user:auth0|42", "admin", organization)


@pytest.mark.parametrize("value", [["admin"], "Admin", "admin ", "", True, {"admin": True}, None, "administrator"])
def test_anything_else_is_no_admin(provider: Provider, value: Any) -> None:
    token = provider.sign(**{"https://example.com/role": value})
    assert identify(provider, token, **ADMINS).role == "member"


@pytest.mark.parametrize("claims", [{"role": "admin"}, {"org_role": "admin"}, {"is_admin": True}, {"None": None}])
def test_nobody_is_an_admin_where_no_claim_is_configured(provider: Provider, claims: dict[str, Any]) -> None:
    assert identify(provider, provider.sign(**claims)).role == "member"


@pytest.mark.parametrize(
    ("claims", "code", "said"),
    [
        ({"exp": NOW - 60}, "TOKEN_EXPIRED", "The token has expired"),
        ({"exp": None}, "TOKEN_INVALID", "exp"),
        ({"exp": "soon"}, "TOKEN_INVALID", "exp"),
        ({"exp": 1e400}, "TOKEN_INVALID", "exp"),
        ({"nbf": NOW + 3_600}, "TOKEN_INVALID", "not yet valid"),
        ({"iat": NOW + 3_600}, "TOKEN_INVALID", "not yet valid"),
        ({"iss": "https://id.example.com"}, "TOKEN_INVALID", "issuer"),
        ({"iss": None}, "TOKEN_INVALID", "iss"),
        ({"sub": None}, "TOKEN_INVALID", "sub"),
        ({"sub": 42}, "TOKEN_INVALID", "Subject"),
        ({"sub": ""}, "TOKEN_INVALID", "subject"),
        ({"sub": "a\nb"}, "TOKEN_INVALID", "subject"),
        ({"sub": "x" * 256}, "TOKEN_INVALID", "subject"),
    ],
)
def test_claims_that_are_refused(provider: Provider, claims: dict[str, Any], code: str, said: str) -> None:
    assert said in refused(provider, provider.sign(**claims), code)


def test_clocks_may_differ_a_little(provider: Provider) -> None:
    now = int(time.time())
    assert identify(provider, provider.sign(exp=now - 5, nbf=now + 5))


def test_the_audience_where_one_is_set(provider: Provider) -> None:
    settings = {"auth_audience": "syncapp"}
    for audience in ("syncapp", ["other", "syncapp"]):
        assert identify(provider, provider.sign(aud=audience), **settings)
    for audience in ("other", ["other"], None, ""):
        assert "aud" in refused(provider, provider.sign(aud=audience), **settings).lower()


def test_no_audience_is_asked_for_where_none_is_set(provider: Provider) -> None:
    assert identify(provider, provider.sign(aud="anything"))


def test_what_is_not_signed_with_a_key_of_a_pair(provider: Provider) -> None:
    """No signature, or the public key taken for a shared secret."""
    good = provider.sign()
    pem = private_key("RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = good.split(".")[1]
    tokens = [signed_with_secret(f"{part({'alg': 'HS256', 'kid': 'first'})}.{claims}", pem)]
    for name in ("none", "None", "NONE", ""):
        tokens += [f"{part({'alg': name, 'kid': 'first'})}.{claims}.{end}" for end in ("", "AAAA")]
    said = {refused(provider, token) for token in tokens}
    assert said == {"The token is not valid: it must be signed with an asymmetric algorithm"}
    assert provider.times_asked == 0


def test_what_another_key_has_signed(provider: Provider) -> None:
    good, key = provider.sign(), private_key("RS256")
    for token in (good[:-4] + "AAAA", provider.sign(key=private_key("RS512")), provider.sign("ES256")):
        refused(provider, token)
    assert "does not match the key's" in refused(provider, provider.sign("PS256", key=key))
    assert "no key of its kid" in refused(provider, provider.sign(key_id=None))
    assert "no key of its kid" in refused(provider, provider.sign(key_id="second"))


def test_a_shared_secret_among_the_published_keys_is_no_key(provider: Provider) -> None:
    provider.keys.append({"kty": "oct", "kid": "shared", "k": encoded(SECRET)})
    refused(provider, provider.sign("HS256", "shared", SECRET))
    header, claims, _ = provider.sign(key_id="shared").split(".")
    assert "no key of its kid" in refused(provider, signed_with_secret(f"{header}.{claims}", SECRET))


@pytest.mark.parametrize("kind", [{"use": "enc"}, {"kid": None}, {"kid": ["first"]}])
def test_a_key_that_is_not_for_signatures(provider: Provider, kind: dict[str, Any]) -> None:
    provider.keys = [published("RS256", "first") | kind, published("ES256", "second"), "no key", {"kty": "new"}]
    assert "no key of its kid" in refused(provider, provider.sign())
    assert identify(provider, provider.sign("ES256", "second"))


def test_a_key_that_is_too_short(provider: Provider) -> None:
    provider.keys = [published("RS256", "first", 1024)]
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = provider.sign(key=private_key("RS256", 1024))
    assert "below the minimum" in refused(provider, token)


@pytest.mark.parametrize(
    "token",
    [
        *("a.b.c", "..", ".e30.", "é.é.é", f"{part([])}.{part({})}.x", f"{part({'alg': ['RS256']})}.{part({})}.x"),
        *(f"{part({'alg': 'RS256', 'kid': kid})}.{part({})}.AAAA" for kid in (7, None, "x" * 3_000, ["first"])),
        f"{part({'alg': 'RS256', 'kid': 'first', 'crit': ['exp']})}.{part({})}.AAAA",
        f"{part({'alg': 'RS256', 'kid': 'first', 'b64': False, 'crit': ['b64']})}..AAAA",
    ],
)
def test_what_only_looks_like_a_token(provider: Provider, token: str) -> None:
    assert IdentityProvider.may_have_made(token)
    refused(provider, token)
