"""What an organization's source wants to be shown, as the engine and the syncs read it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import structlog

from config.settings import Settings
from syncapp.audit import SYSTEM, add_entry
from syncapp.db import Database
from syncapp.encryption import Unreadable, Vault
from syncapp.errors import CredentialsMissing

log = structlog.get_logger(__name__)

FIND = "SELECT secret FROM credentials WHERE organization_id = %s AND provider = %s"
REFUSE = """
UPDATE credentials SET valid = false, checked_at = now()
WHERE organization_id = %(organization_id)s AND provider = %(provider)s AND valid AND updated_at <= %(known_since)s"""


def owner_of(organization_id: str, provider: str) -> str:
    """For whom a credential is sealed."""
    return f"{provider}:{organization_id}"


def load_secret(db: Database, settings: Settings, organization_id: str, provider: str) -> str:
    """What the organization has stored for the provider.

    Raises CredentialsMissing (none is stored, or it cannot be decrypted), SettingsError, DatabaseUnavailable."""
    with db.connection() as connection:
        row = connection.execute(FIND, (organization_id, provider)).fetchone()
    if row is None:
        raise missing(organization_id, provider)
    try:
        return Vault(settings).open(bytes(row[0]), owner_of(organization_id, provider))
    except Unreadable:
        raise CredentialsMissing(
            f"The {provider} credentials of {organization_id} were encrypted under another SYNCAPP_SECRET_KEY: name "
            "that one in SYNCAPP_SECRET_KEY_PREVIOUS, or store them again",
            error_code="CREDENTIALS_UNREADABLE",
        ) from None


def missing(organization_id: str, provider: str) -> CredentialsMissing:
    return CredentialsMissing(
        f"{organization_id} has no {provider} credentials; store them with "
        f"PUT /api/v1/{provider}/credentials/{organization_id}"
    )


def refused(organization_id: str, provider: str) -> CredentialsMissing:
    """Why nothing is asked with credentials that were refused once."""
    return CredentialsMissing(
        f"{provider} refused the credentials of {organization_id}, and is not asked again with the same; store others "
        f"with PUT /api/v1/{provider}/credentials/{organization_id}",
        error_code="CREDENTIALS_REFUSED",
    )


def note_refused(
    connection: psycopg.Connection[Any], organization_id: str, provider: str, known_since: datetime
) -> None:
    """Marks credentials that their source refused, and tells it once; not those stored after `known_since`."""
    values = {"organization_id": organization_id, "provider": provider, "known_since": known_since}
    if connection.execute(REFUSE, values).rowcount:
        log.warning("credentials.refused", provider=provider, organization_id=organization_id)
        add_entry(connection, SYSTEM, "credentials.refused", organization_id=organization_id, target=provider)
