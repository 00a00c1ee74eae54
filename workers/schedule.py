"""RedBeat carries a mirror of the table `schedules`, and beat ticks from it.

The mirror may be lost, edited or stale at any time: it is put right from PostgreSQL every few seconds, and PostgreSQL
decides at every tick whether anything is to start (`syncapp.commands.fire`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import Celery
from celery.schedules import ParseException, crontab, schedule
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder
from redbeat.schedulers import ensure_conf, get_redis

from syncapp.models import Schedule
from workers.dispatch import TICK_TASK

log = structlog.get_logger(__name__)

# A tick that is due for this long was lost on its way: beat could not publish it, or a worker died with it.
LOST_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class Entry:
    """What RedBeat is to hold for a schedule: due at `due_at`, for which it must believe to have run at `last_run_at`.

    `due_at` is None for a tick that comes every minute whatever the schedule says.
    """

    key: str
    definition: str
    last_run_at: datetime
    due_at: datetime | None

    @property
    def score(self) -> float:
        return (self.due_at or self.last_run_at).timestamp()


class Mirror:
    """Makes RedBeat's entries say what the table says."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._conf = ensure_conf(app)

    def reflect(self, rows: Sequence[Schedule], now: datetime) -> int:
        """How many entries had to be put right; one that is right is not touched. Raises redis' errors."""
        redis = get_redis(self._app)
        wanted = [self._entry(row, row.next_run_at) for row in rows if row.next_run_at is not None]
        keys = [entry.key for entry in wanted]
        strangers = [key for key in redis.zrange(self._conf.schedule_key, 0, -1) if key not in keys]
        for key in strangers:
            redis.zrem(self._conf.schedule_key, key)
            redis.delete(key)
        wrong = [entry for entry in wanted if not self._is_right(entry, now)]
        for entry in wrong:
            self._write(entry)
        if strangers or wrong:
            log.info("schedule.mirrored", written=[entry.key for entry in wrong], removed=strangers)
        return len(strangers) + len(wrong)

    def _is_right(self, entry: Entry, now: datetime) -> bool:
        with get_redis(self._app).pipeline() as pipe:
            pipe.hmget(entry.key, "definition", "meta").zscore(self._conf.schedule_key, entry.key)
            (definition, meta), score = pipe.execute()
        if score is None or _json(definition) != _json(entry.definition):
            return False
        if entry.due_at is None or abs(score - entry.score) <= 1:
            return _last_run(meta) is not None
        ticked = _last_run(meta)
        if ticked is None or ticked > now:  # what we wrote ourselves for a run that was to come later
            return False
        on_its_way = entry.due_at <= now < max(ticked, entry.due_at) + LOST_AFTER
        return on_its_way and score > entry.score

    def _write(self, entry: Entry) -> None:
        meta = json.dumps({"last_run_at": entry.last_run_at}, cls=RedBeatJSONEncoder)
        with get_redis(self._app).pipeline() as pipe:
            pipe.delete(entry.key)
            pipe.hset(entry.key, mapping={"definition": entry.definition, "meta": meta})
            pipe.zadd(self._conf.schedule_key, {entry.key: entry.score})
            pipe.execute()

    def _entry(self, row: Schedule, due_at: datetime) -> Entry:
        if row.interval_seconds is not None:
            every = timedelta(seconds=row.interval_seconds)
            return self._made(row, schedule(every), due_at - every, due_at)
        just_before = due_at - timedelta(seconds=1)
        line = self._same_in_celery(row, just_before, due_at)
        if line is not None:
            return self._made(row, line, just_before, due_at)
        return self._made(row, crontab(app=self._app), (row.updated_at).replace(second=0, microsecond=0), None)

    def _same_in_celery(self, row: Schedule, before: datetime, due_at: datetime) -> Any:
        """The cron line as Celery's crontab, None where Celery would not take it to mean `due_at`.

        Only UTC: Celery's other zones go wrong where clocks change. A line that names day and weekday means "or" to
        cron and "and" to Celery; names and steps differ too. So the two are asked for the next run and compared.
        """
        if row.timezone != "UTC" or row.cron is None:
            return None
        minute, hour, day, month, weekday = row.cron.split()
        try:
            line = crontab(minute, hour, weekday, day, month, app=self._app)
            last, delta, _ = line.remaining_delta(before)
        except (ParseException, ValueError, RuntimeError):
            return None
        return line if last + delta == due_at else None

    def _made(self, row: Schedule, when: Any, last_run_at: datetime, due_at: datetime | None) -> Entry:
        definition = {
            "name": row.name,
            "task": TICK_TASK,
            "args": [row.name],
            "kwargs": {},
            "options": {},
            "schedule": when,
            "enabled": True,
        }
        text = json.dumps(definition, cls=RedBeatJSONEncoder)
        return Entry(f"{self._conf.key_prefix}{row.name}", text, last_run_at, due_at)


def _json(text: str | None) -> Any:
    """None for what cannot be read, which is as good as missing."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _last_run(meta: str | None) -> datetime | None:
    try:
        found = json.loads(meta or "null", cls=RedBeatJSONDecoder)
    except (ValueError, TypeError, KeyError):
        return None
    value = found.get("last_run_at") if isinstance(found, dict) else None
    return value if isinstance(value, datetime) else None
