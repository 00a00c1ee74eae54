"""Secrets at rest: encrypted under SYNCAPP_SECRET_KEY, still readable under SYNCAPP_SECRET_KEY_PREVIOUS."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from config.settings import NO_SECRET_KEY, Settings, SettingsError


class Unreadable(Exception):
    """Encrypted under another key, for somebody else, or altered."""


class Vault:
    """Seals texts for an owner: what was sealed for one cannot be opened for another, wherever it is copied to."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError where there is no key."""
        if settings.syncapp_secret_key is None:
            raise SettingsError(NO_SECRET_KEY)
        keys = (settings.syncapp_secret_key, settings.syncapp_secret_key_previous)
        self._fernet = MultiFernet([_fernet(key) for key in keys if key is not None])

    def seal(self, text: str, owner: str) -> bytes:
        return self._fernet.encrypt(f"{owner}\n{text}".encode())

    def open(self, sealed: bytes, owner: str) -> str:
        """Raises Unreadable."""
        try:
            whose, _, text = self._fernet.decrypt(sealed).decode().partition("\n")
        except InvalidToken:
            raise Unreadable from None
        if whose != owner:
            raise Unreadable
        return text


def _fernet(key: SecretStr) -> Fernet:
    """A key is any long random text; Fernet's has 32 bytes."""
    derived = HKDF(SHA256(), 32, salt=None, info=b"syncapp credentials").derive(key.get_secret_value().encode())
    return Fernet(base64.urlsafe_b64encode(derived))
