"""Organizations: who the data belongs to."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert

from config.settings import Settings
from syncapp.audit import Actor, add_entry, differences
from syncapp.commands.control import stop_runs
from syncapp.db import Database
from syncapp.errors import Conflict, NotFound, ValidationFailed
from syncapp.models import Organization
from syncapp.records import Json
from syncapp.scope import EVERYONE

ORGANIZATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class NewOrganization:
    id: str
    name: str
    active: bool
    created_at: datetime


def create_organization(
    db: Database, *, name: str, actor: Actor, organization_id: str | None = None
) -> NewOrganization:
    """An id is made up where none is given. Raises ValidationFailed, Conflict (the id is taken)."""
    wanted = organization_id or f"org_{secrets.token_hex(6)}"
    problems = {} if ORGANIZATION_ID.fullmatch(wanted) else {"id": ["Must be 1 to 64 letters, digits, - or _."]}
    _check(problems | _problems_of(name))
    made = insert(Organization).values(id=wanted, name=name.strip()).on_conflict_do_nothing()
    with db.session(EVERYONE) as session:
        created = session.execute(made.returning(Organization.created_at)).scalar()
        if created is None:
            raise Conflict(f"There is an organization {wanted} already")
        told = {"name": name.strip()}
        add_entry(session, actor, "organization.created", organization_id=wanted, target=wanted, details=told)
    return NewOrganization(wanted, name.strip(), True, created)


def change_organization(
    db: Database,
    settings: Settings,
    organization_id: str,
    actor: Actor,
    *,
    name: str | None = None,
    active: bool | None = None,
) -> int:
    """Changes what is not None; how many runs were asked to stop: all of them, where it is no longer active.

    Raises NotFound, ValidationFailed (name), Conflict (the default organization stays active).
    """
    if name is not None:
        _check(_problems_of(name))
    with db.session(EVERYONE) as session:
        row = session.get(Organization, organization_id, with_for_update={"key_share": True})
        if row is None:
            raise NotFound(f"There is no organization {organization_id}")
        if active is False and organization_id == settings.default_organization_id:
            raise Conflict("The default organization cannot be deactivated", error_code="DEFAULT_ORGANIZATION")
        before = _told(row)
        row.name = row.name if name is None else name.strip()
        row.active = row.active if active is None else active
        changed = differences(before, _told(row))
        if not changed:
            return 0
        target = {"organization_id": organization_id, "target": organization_id}
        add_entry(session, actor, "organization.changed", **target, details=changed)
        return 0 if row.active else stop_runs(session, organization_id)


def _told(row: Organization) -> dict[str, Json]:
    """What the audit trail tells of an organization."""
    return {"name": row.name, "active": row.active}


def _problems_of(name: str) -> dict[str, list[str]]:
    if name.strip() and len(name) <= LONGEST_NAME and name.isprintable():
        return {}
    return {"name": [f"Must be 1 to {LONGEST_NAME} characters, none of them a control character."]}


def _check(problems: dict[str, list[str]]) -> None:
    """Raises ValidationFailed."""
    if problems:
        raise ValidationFailed(f"The organization is not valid: {', '.join(problems)}", details={"fields": problems})
