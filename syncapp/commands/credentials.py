"""Credentials of organizations: stored once they were tried, encrypted, never shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from syncapp.audit import SYSTEM, Actor, add_entry
from syncapp.commands.control import stop_runs
from syncapp.connectors.cliniko import ClinikoKey, read_key
from syncapp.credentials import load_secret, note_refused, owner_of
from syncapp.db import Database, raw_connection
from syncapp.encryption import Unreadable, Vault
from syncapp.errors import CredentialsRefused, NotFound, ValidationFailed
from syncapp.models import Credential, Organization, StreamState
from syncapp.ports import Clock, RateLimit
from syncapp.scope import EVERYONE, Scope
from syncapp.syncs.cliniko import CLINIKO, PROVIDER, ping


@dataclass(frozen=True, slots=True)
class Connection:
    """A source that answered. `response_time_ms` is what it took for one record."""

    organization_id: str
    api_region: str
    response_time_ms: float


def store_cliniko_key(
    db: Database, settings: Settings, rate_limit: RateLimit, organization_id: str, api_key: str, actor: Actor
) -> Connection:
    """Tries the key, then keeps it in place of the one before.

    Another key may be another account's: a run in flight stops, and the next one reads everything. Raises
    ValidationFailed (no key, or Cliniko refuses it), NotFound (organization), ConnectionFailed, RateLimited,
    SettingsError (no SYNCAPP_SECRET_KEY): nothing is changed then.
    """
    key, vault = read_key(api_key), Vault(settings)
    with db.session(EVERYONE) as session:
        _check_active(session, organization_id)
    try:
        took = ping(settings, rate_limit, key)
    except CredentialsRefused as error:
        rule = [f"Cliniko does not take it: {error.message}"]
        raise ValidationFailed("The API key was refused", details={"fields": {"api_key": rule}}) from None
    values = {"secret": vault.seal(key.value, owner_of(organization_id, PROVIDER)), "region": key.shard, "valid": True}
    values |= {"checked_at": func.now(), "updated_at": func.now()}
    kept = insert(Credential).values(organization_id=organization_id, provider=PROVIDER, **values)
    with db.session(Scope(organization_id)) as session:
        _check_active(session, organization_id)
        before = session.get(Credential, (organization_id, PROVIDER), with_for_update=True)
        if before is None or not _is_same(vault, before, key):
            _begin_anew(session, organization_id)
        session.execute(kept.on_conflict_do_update(index_elements=["organization_id", "provider"], set_=values))
        told = {"region": key.shard}
        add_entry(session, actor, "credentials.stored", organization_id=organization_id, target=PROVIDER, details=told)
    return Connection(organization_id, key.shard, took)


def remove_cliniko_key(db: Database, organization_id: str, actor: Actor) -> bool:
    """Forgets the key and stops the run that reads with it; whether there was one. Raises NotFound (organization)."""
    with db.session(Scope(organization_id)) as session:
        if session.get(Organization, organization_id) is None:
            raise NotFound(f"There is no organization {organization_id}")
        found = delete(Credential).where(Credential.provider == PROVIDER).returning(Credential.provider)
        if session.execute(found).first() is None:
            return False
        _begin_anew(session, organization_id)
        add_entry(session, actor, "credentials.removed", organization_id=organization_id, target=PROVIDER)
    return True


def check_cliniko_key(
    db: Database, settings: Settings, rate_limit: RateLimit, clock: Clock, organization_id: str
) -> Connection:
    """Asks Cliniko with the stored key; what it says of the key is kept.

    Raises CredentialsMissing, CredentialsRefused, ConnectionFailed, RateLimited, InvalidData, NotFound (organization).
    """
    with db.session(EVERYONE) as session:
        _check_active(session, organization_id)
        began: datetime = session.scalar(select(func.now())) or clock()
    key: ClinikoKey = read_key(load_secret(db, settings, organization_id, PROVIDER))
    try:
        took = ping(settings, rate_limit, key)
    except CredentialsRefused as error:
        if error.error_code == CredentialsRefused.default_code:
            with db.connection() as connection:
                note_refused(connection, organization_id, PROVIDER, began)
        raise
    with db.session(Scope(organization_id)) as session:
        stored = session.get(Credential, (organization_id, PROVIDER), with_for_update=True)
        if stored is not None and stored.updated_at <= began:
            if not stored.valid:
                add_entry(session, SYSTEM, "credentials.accepted", organization_id=organization_id, target=PROVIDER)
            stored.valid, stored.checked_at = True, began
    return Connection(organization_id, key.shard, took)


def rotate_credentials(db: Database, settings: Settings, actor: Actor) -> int:
    """Encrypts everything under the key of now; how many. SYNCAPP_SECRET_KEY_PREVIOUS is of no use then.

    Raises Unreadable where one of them can be read with neither key: nothing is changed then. SettingsError.
    """
    vault = Vault(settings)
    with db.session(EVERYONE) as session:
        rows = session.scalars(select(Credential).order_by(Credential.organization_id).with_for_update()).all()
        for row in rows:
            owner = owner_of(row.organization_id, row.provider)
            row.secret = vault.seal(vault.open(row.secret, owner), owner)
        session.flush()
        add_entry(raw_connection(session), actor, "credentials.rotated", details={"count": len(rows)})
    return len(rows)


def _is_same(vault: Vault, before: Credential, key: ClinikoKey) -> bool:
    """False too where the one before can no longer be read."""
    try:
        stored = vault.open(before.secret, owner_of(before.organization_id, PROVIDER))
    except Unreadable:
        return False
    return read_key(stored).digest == key.digest


def _begin_anew(session: Session, organization_id: str) -> None:
    """What was read is not gone on with: it may be of another account."""
    stop_runs(session, organization_id, CLINIKO.name)
    session.execute(delete(StreamState).where(StreamState.sync == CLINIKO.name))


def _check_active(session: Session, organization_id: str) -> None:
    found = session.get(Organization, organization_id)
    if found is None or not found.active:
        raise NotFound(f"There is no active organization {organization_id}")
