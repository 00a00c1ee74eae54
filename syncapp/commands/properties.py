"""What may be asked of the properties' sync: its settings, and its schedule on and off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from config.values import parse_duration
from syncapp.audit import Actor, add_entry, differences
from syncapp.commands.control import stop_runs
from syncapp.db import Database, raw_connection
from syncapp.errors import ValidationFailed
from syncapp.models import Schedule, SettingValue
from syncapp.ports import Clock
from syncapp.records import Json
from syncapp.schedules import align_schedules, change_locked, change_schedule, lock_schedule
from syncapp.scope import EVERYONE
from syncapp.sync_settings import parse_whole, seed_settings, show_schedule
from syncapp.syncs.properties import PROPERTIES

LONGEST_TEXT = 32


def parse_interval(value: Json) -> float:
    """Seconds, whole ones. Raises ValueError that says what it must be."""
    is_text = isinstance(value, str) and len(value) <= LONGEST_TEXT
    if is_text or (isinstance(value, int | float) and not isinstance(value, bool)):
        try:
            seconds = parse_duration(value)
        except ValueError:
            seconds = 0.0
        if PROPERTIES.shortest <= seconds <= PROPERTIES.longest:
            return float(round(seconds))
    raise ValueError("Must be a duration from 5m to 7d, such as 12h or 2h30m.")


def parse_switch(value: Json) -> bool:
    """Raises ValueError that says what it must be."""
    found = {"true": True, "false": False}.get(str(value).strip().lower()) if isinstance(value, bool | str) else None
    if found is None:
        raise ValueError("Must be true or false.")
    return found


PARSERS: Mapping[str, Callable[[Json], Json]] = {
    "sync_interval": parse_interval,
    "enable_auto": parse_switch,
    **{one.key: partial(parse_whole, least=one.least, most=one.most) for one in PROPERTIES.settings},
}
OF_THE_SCHEDULE = ("sync_interval", "enable_auto")
SETTING_KEYS = tuple(PARSERS)


def complete_settings(db: Database, settings: Settings, clock: Clock) -> None:
    """Makes what is missing in the view `sync_settings`: before any worker has done so, or at any time."""
    align_schedules(db, settings, clock, {PROPERTIES.name: PROPERTIES.every})


def change_settings(
    db: Database, settings: Settings, clock: Clock, changes: Sequence[tuple[str, Json]], actor: Actor
) -> None:
    """All of the changes (key and value), or none: they hold from each worker's next batch on.

    What is said already changes nothing. Raises ValidationFailed with `details["fields"]` by key, DatabaseUnavailable.
    """
    wanted = _checked(changes)
    with db.session(EVERYONE) as session:
        # Always the schedule first, then the rows by key: two who change them at once never wait each for the other.
        before: dict[str, Json] = {}
        after: dict[str, Json] = {}
        if wanted.keys() & set(OF_THE_SCHEDULE):
            row = lock_schedule(session, settings, PROPERTIES.name)
            before |= show_schedule(row)
            interval, enabled = (wanted.get(key) for key in OF_THE_SCHEDULE)
            change_locked(session, settings, clock, row, actor, interval=interval, enabled=enabled)
            after |= show_schedule(row)
        for one in _lock_values(session, settings, wanted.keys() - set(OF_THE_SCHEDULE)):
            text = str(wanted[one.setting_key])
            before[one.setting_key], after[one.setting_key] = one.setting_value, text
            if one.setting_value != text:
                one.setting_value, one.updated_at = text, clock()
        if told := differences(before, after):
            add_entry(session, actor, "settings.changed", target=PROPERTIES.name, details=told)


def start_properties(
    db: Database, settings: Settings, clock: Clock, actor: Actor, *, interval: str | None = None
) -> Schedule:
    """The schedule on, with that interval; without one it stays as it is. Raises ValidationFailed."""
    seconds = None
    if interval is not None:
        try:
            seconds = parse_interval(interval)
        except ValueError as error:
            raise ValidationFailed("That is no interval", details={"fields": {"interval": [str(error)]}}) from None
    return change_schedule(db, settings, clock, PROPERTIES.name, actor, interval=seconds, enabled=True)


def stop_properties(db: Database, settings: Settings, clock: Clock, actor: Actor) -> int:
    """The schedule off, and whatever run of it is in flight asked to stop; how many were, dry runs too."""
    with db.session(EVERYONE) as session:
        row = lock_schedule(session, settings, PROPERTIES.name)
        change_locked(session, settings, clock, row, actor, enabled=False)
        organization_id = settings.default_organization_id
        stopped = stop_runs(session, organization_id, PROPERTIES.name)
        if stopped:
            target = {"organization_id": organization_id, "target": PROPERTIES.name}
            add_entry(session, actor, "runs.stopped", **target, details={"runs": stopped})
        return stopped


def _checked(changes: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    """The values by key. Raises ValidationFailed that names all that is wrong."""
    wanted: dict[str, Json] = {}
    problems: dict[str, list[str]] = {}
    for key, value in changes:
        try:
            if key not in PARSERS:
                raise ValueError(f"There is no such setting; there are {', '.join(PARSERS)}.")
            parsed = PARSERS[key](value)
            if key in wanted:
                raise ValueError("Is given more than once.")
            wanted[key] = parsed
        except ValueError as error:
            problems[key] = [str(error)]
    if problems:
        raise ValidationFailed(f"The settings are not valid: {', '.join(problems)}", details={"fields": problems})
    return wanted


def _lock_values(session: Session, settings: Settings, keys: Collection[str]) -> Sequence[SettingValue]:
    if not keys:
        return ()
    seed_settings(raw_connection(session), settings, PROPERTIES.name, PROPERTIES.settings)
    query = select(SettingValue).where(SettingValue.sync == PROPERTIES.name, SettingValue.setting_key.in_(keys))
    return session.scalars(query.order_by(SettingValue.setting_key).with_for_update()).all()
