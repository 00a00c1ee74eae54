"""Examples of answers, for the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from api.schemas.common import TIME_EXAMPLE
from api.schemas.runs import EXAMPLE_ID, TRIGGERED_EXAMPLE

NEXT_TIME = "2025-06-30T18:00:00.000Z"


def listed(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "total": len(items)}


ALIVE = {"status": "alive"}
_CHECKS = {"database": "ok", "redis": "ok", "migrations": "ok", "scheduler": "ok", "workers": "ok"}
_QUEUES = {"sync": "ok", "default": "ok"}
READY = {"status": "ready", "checks": _CHECKS, "queues": _QUEUES}
NOT_READY = {"status": "not_ready", "checks": _CHECKS | {"redis": "failed"}, "queues": _QUEUES}
HEALTHY = {
    "status": "healthy",
    "dependencies": {"database": "healthy", "redis": "healthy", "external_api": "healthy", "queues": "healthy"},
}
UNHEALTHY = {
    "status": "unhealthy",
    "dependencies": {"database": "unhealthy", "redis": "healthy", "external_api": "unknown", "queues": "unknown"},
}
SCHEDULE = {
    "name": "clients",
    "cron": "0 */6 * * *",
    "interval": None,
    "timezone": "UTC",
    "enabled": True,
    "next_run_at": NEXT_TIME,
    "last_run_at": TIME_EXAMPLE,
    "queue": "sync",
}
SCHEDULES = listed(SCHEDULE)
SYNCS = listed(
    {
        "name": "clients",
        "title": "Clients",
        "queue": "sync",
        "source": "wellness API",
        "destination": "PostgreSQL: clients",
        "modes": ["default"],
        "configured": True,
        "schedule": SCHEDULE,
        "health": "healthy",
        "freshness": {"last_success_at": TIME_EXAMPLE, "last_complete_at": TIME_EXAMPLE, "seconds": 512.25},
    }
)
_RESOURCE = {
    "counts": {"pending": 0, "syncing": 0, "synced": 4999, "error": 1, "total": 5000, "mock": 0},
    "last_run_at": TIME_EXAMPLE,
    "last_success_at": TIME_EXAMPLE,
    "freshness_seconds": 512.25,
    "success_rate_24h": 1.0,
    "success_rate_7d": 0.96,
    "source": "live",
}
_JOB = {name: value for name, value in SCHEDULE.items() if name not in ("interval", "timezone")}
WELLNESS = {
    "clients": _RESOURCE,
    "appointments": _RESOURCE,
    "scheduled_jobs": [_JOB, _JOB | {"name": "appointments", "cron": "0 */2 * * *"}],
    "health": "healthy",
}
DEAD_LETTERS = listed(
    {
        "id": 17,
        "stream": "clients",
        "external_id": "4711",
        "error_type": "invalid_data_format",
        "message": "email is not a text",
        "record": {"id": 4711, "name": "Ann Lee", "email": ["ann@example.com"]},
        "replayable": True,
        "created_at": TIME_EXAMPLE,
        "replayed_at": None,
    }
)
CHANGES = listed(
    {
        "stream": "properties",
        "external_id": "1641879",
        "operation": "updated",
        "before": {"stars": 4, "rooms[12].max_adults": 2},
        "after": {"stars": 5, "rooms[12].max_adults": 3},
    }
) | {"kept": True}
_EVENT = {
    "sync_id": EXAMPLE_ID,
    "organization_id": "default",
    "status": "running",
    "progress_percentage": 60.0,
    "current_step": "Clients",
    "total_steps": 1,
    "completed_steps": 0,
    "started_at": TIME_EXAMPLE,
    "estimated_completion": "2025-06-30T12:00:05.000Z",
    "records_processed": 3000,
    "records_total": 5000,
    "current_operation": "Clients: 3000 records",
    "errors": [],
    "event": {
        "seq": 4,
        "kind": "progress",
        "at": TIME_EXAMPLE,
        "data": {"stream": "clients", "records_processed": 3000, "pages": 30},
    },
}
EVENT = {"id": "4", "event": "progress", "data": json.dumps(_EVENT)}
CANCELLED = {
    "message": "The run stops at its next page",
    "sync_id": EXAMPLE_ID,
    "status": "running",
    "timestamp": TIME_EXAMPLE,
}
_EARLIER = "sync_default_20250630_110000_5e6f7a8b"
RETRY = TRIGGERED_EXAMPLE | {"message": f"Retry of {_EARLIER} started"}
UNDO = TRIGGERED_EXAMPLE | {"message": f"Undo of 3 changes of {_EARLIER} started"}
REPLAY = TRIGGERED_EXAMPLE | {"message": f"Replay of 8 failed records of {_EARLIER} started"}
