"""An identity provider: its published keys on a real server, and the tokens that it signs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from config.settings import Settings
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.server import DemoServer

ISSUER = "https://id.example.com/"
JWKS = "/.well-known/jwks.json"
CURVES: Mapping[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def private_key(algorithm: str, bits: int = 2048) -> Any:
    """One for the whole session: making an RSA key takes long."""
    return _make_key(algorithm, bits)


@cache
def _make_key(algorithm: str, bits: int) -> Any:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def published(algorithm: str, key_id: str, bits: int = 2048) -> dict[str, Any]:
    """The public half as a JWK."""
    public = private_key(algorithm, bits).public_key()
    kind = ECAlgorithm if algorithm in CURVES else OKPAlgorithm if algorithm == "EdDSA" else RSAAlgorithm
    jwk: dict[str, Any] = kind.to_jwk(public, as_dict=True)
    return {**jwk, "kid": key_id, "use": "sig", "alg": algorithm}


@dataclass
class Provider:
    """`keys` are what it publishes now; change them to rotate."""

    server: DemoServer
    keys: list[Any] = field(default_factory=lambda: [published("RS256", "first")])

    @property
    def jwks_url(self) -> str:
        return f"{self.server.url}{JWKS}"

    def settings(self, **more: Any) -> Settings:
        return Settings(auth_jwks_url=self.jwks_url, auth_issuer=ISSUER, **more)

    @property
    def times_asked(self) -> int:
        return len(self.server.requests)

    def answer(self, _: Request) -> Answer:
        return Answer.json({"keys": self.keys})

    def sign(self, algorithm: str = "RS256", key_id: str | None = "first", key: Any = None, **claims: Any) -> str:
        """A token of a member of the default organization; a claim that is given as None is left out."""
        now = int(time.time())
        usual = {"iss": ISSUER, "sub": "auth0|42", "iat": now, "exp": now + 300, "org_id": "default"}
        held = {name: value for name, value in (usual | claims).items() if value is not None}
        headers = {} if key_id is None else {"kid": key_id}
        return jwt.encode(held, key or private_key(algorithm), algorithm, headers=headers)


@contextmanager
def open_provider() -> Iterator[Provider]:
    with DemoServer() as server:
        provider = Provider(server)
        server.app = provider.answer
        yield provider
