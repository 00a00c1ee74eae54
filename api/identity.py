"""Bearer tokens of an identity provider: JWTs, verified with the keys that it publishes."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from time import monotonic
from typing import Any

import jwt
import structlog
from jwt import PyJWK, PyJWKClient

from config.settings import Settings
from syncapp.commands import ORGANIZATION_ID, Caller
from syncapp.errors import ConnectionFailed, Forbidden, Unauthorized

log = structlog.get_logger(__name__)

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
REQUIRED = ["exp", "iss", "sub"]
LEEWAY = 30.0  # seconds by which clocks may differ
LONGEST_SUBJECT = 255  # OpenID Connect's

PATIENCE = 3.0  # seconds a request waits for the provider
FRESH = 300.0  # for so long nobody asks whether a key was withdrawn
ASK_AGAIN = 30.0  # however many keys are named that are not known
ASK_AGAIN_WITHOUT_KEYS = 5.0
HEADERS = {"Accept": "application/json", "User-Agent": "syncapp"}  # some turn urllib's own name away


class ProviderKeys:
    """The provider's public keys. Asked for again when they are old or one is named that is not known; seldom.

    One thread asks, for all of this process. Keys that are known are good while the provider is away.
    """

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, cache_jwk_set=False, headers=HEADERS, timeout=PATIENCE)  # follows no redirect
        self._known: dict[str, PyJWK] = {}
        self._fresh_until = self._ask_again_at = float("-inf")
        self._was_heard = False
        self._asking = Lock()

    def find(self, key_id: str) -> PyJWK | None:
        """None where the provider publishes no such key. Raises ConnectionFailed where it could not be asked."""
        known = self._known.get(key_id)
        if known is not None and monotonic() < self._fresh_until:
            return known
        was_heard = self._ask(PATIENCE if known is None else 0)
        found = self._known.get(key_id)
        if found is None and not was_heard:
            raise ConnectionFailed(
                "The identity provider's keys cannot be fetched, so the token cannot be checked",
                error_code="IDENTITY_PROVIDER_UNREACHABLE",
                retry_after=max(1.0, self._ask_again_at - monotonic()),
            )
        return found

    def _ask(self, patience: float) -> bool:
        """Whether the provider answered when it was last asked; False too where another thread is still asking."""
        if not self._asking.acquire(timeout=patience):
            return False
        try:
            if monotonic() >= self._ask_again_at:
                self._fetch()
            return self._was_heard
        finally:
            self._asking.release()

    def _fetch(self) -> None:
        try:
            keys = self._client.get_signing_keys()
        except (jwt.PyJWTError, OSError, ValueError) as error:
            self._was_heard = False
            log.warning("identity.keys_unreachable", reason=str(error))
        else:
            usable = [key for key in keys if key.algorithm_name in ALGORITHMS]
            self._known = {key.key_id: key for key in usable if isinstance(key.key_id, str)}
            self._was_heard, self._fresh_until = True, monotonic() + FRESH
        self._ask_again_at = monotonic() + (ASK_AGAIN if self._known else ASK_AGAIN_WITHOUT_KEYS)


class IdentityProvider:
    """Whom a JWT stands for. AUTH_JWKS_URL and AUTH_ISSUER say whose tokens are taken."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = ProviderKeys(str(settings.auth_jwks_url))

    @classmethod
    def of(cls, settings: Settings) -> IdentityProvider | None:
        """None where no provider is configured."""
        return cls(settings) if settings.auth_jwks_url else None

    @staticmethod
    def may_have_made(token: str) -> bool:
        """Whether it looks like a JWT, which our own tokens never do."""
        return token.count(".") == 2

    def identify(self, token: str) -> Caller:
        """A member's organization is named, not looked up. Raises Unauthorized, Forbidden, ConnectionFailed."""
        claims = self._verify(token)
        subject = claims["sub"]
        if not 1 <= len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise _bad("its subject cannot be written into the audit trail")
        organization_id = self._organization_of(claims)
        is_admin = self._is_admin(claims)
        if organization_id is None and not is_admin:
            claim = self._settings.auth_organization_claim
            raise Forbidden(f"The token names no organization in its claim {claim}", error_code="ORGANIZATION_MISSING")
        return Caller(None, f"user:{subject}", "admin" if is_admin else "member", organization_id)

    def _verify(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS:
                raise _bad("it must be signed with an asymmetric algorithm")
            if key_id is None or (key := self._keys.find(key_id)) is None:
                raise _bad("the identity provider publishes no key of its kid")
            audience = self._settings.auth_audience
            return jwt.decode(
                token,
                key,
                ALGORITHMS,
                options={"require": REQUIRED, "verify_aud": audience is not None, "enforce_minimum_key_length": True},
                audience=audience,
                issuer=self._settings.auth_issuer,
                leeway=LEEWAY,
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired", error_code="TOKEN_EXPIRED") from None
        except jwt.PyJWTError as error:
            raise _bad(str(error)) from None

    def _organization_of(self, claims: Mapping[str, Any]) -> str | None:
        named = claims.get(self._settings.auth_organization_claim)
        return named if isinstance(named, str) and ORGANIZATION_ID.fullmatch(named) else None

    def _is_admin(self, claims: Mapping[str, Any]) -> bool:
        name, value = self._settings.auth_admin_claim, self._settings.auth_admin_value
        return name is not None and value is not None and claims.get(name) == value


def _bad(reason: str) -> Unauthorized:
    return Unauthorized(f"The token is not valid: {reason}", error_code="TOKEN_INVALID")
