"""Organizations: who the data belongs to."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert

from syncapp.db import Database
from syncapp.errors import Conflict, ValidationFailed
from syncapp.models import Organization
from syncapp.scope import EVERYONE

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class NewOrganization:
    id: str
    name: str
    active: bool
    created_at: datetime


def create_organization(db: Database, *, name: str, organization_id: str | None = None) -> NewOrganization:
    """An id is made up where none is given. Raises ValidationFailed, Conflict (the id is taken)."""
    wanted = organization_id or f"org_{secrets.token_hex(6)}"
    problems: dict[str, list[str]] = {}
    if not ID.fullmatch(wanted):
        problems["id"] = ["Must be 1 to 64 letters, digits, - or _."]
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        problems["name"] = [f"Must be 1 to {LONGEST_NAME} characters, none of them a control character."]
    if problems:
        raise ValidationFailed(f"The organization is not valid: {', '.join(problems)}", details={"fields": problems})
    made = insert(Organization).values(id=wanted, name=name.strip()).on_conflict_do_nothing()
    with db.session(EVERYONE) as session:
        created = session.execute(made.returning(Organization.created_at)).scalar()
    if created is None:
        raise Conflict(f"There is an organization {wanted} already")
    return NewOrganization(wanted, name.strip(), True, created)
