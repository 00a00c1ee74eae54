"""Organizations with sources of their own: what starts their runs, and how they stand (contract, section 2)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from api.schemas.common import TIME_EXAMPLE, OrganizationId, Time
from api.schemas.runs import EXAMPLE_ID, STATUSES, TRIGGERED_EXAMPLE, TriggeredSchema

ORGANIZATION = "org_2xwHiNrj68eaRUlX10anlXGvzX7"
ID = f"sync_{ORGANIZATION}_20250630_120000_1f2e3d4c"
TRIGGERED = TRIGGERED_EXAMPLE | {
    "message": "Sync started successfully",
    "organization_id": ORGANIZATION,
    "sync_id": ID,
}


class StartArgs(Schema):
    sync_mode = fields.String(load_default="active", validate=validate.OneOf(["active", "comprehensive"]))


class ClinikoSyncArgs(Schema):
    mode = fields.String(
        load_default="comprehensive", validate=validate.OneOf(["comprehensive", "basic", "patients-only"])
    )


class HistoryArgs(Schema):
    limit = fields.Integer(load_default=10, validate=validate.Range(1, 100))


class StartedInModeSchema(TriggeredSchema):
    sync_mode = fields.String(required=True)
    started_at = Time(required=True)


STARTED = TRIGGERED | {
    "message": "Sync started successfully in comprehensive mode",
    "sync_mode": "comprehensive",
    "started_at": TIME_EXAMPLE,
}


class ClinikoTriggeredSchema(TriggeredSchema):
    success = fields.Boolean(required=True)
    sync_mode = fields.String(required=True)


CLINIKO_STARTED = TRIGGERED | {
    "success": True,
    "message": "Comprehensive Cliniko sync started successfully",
    "sync_mode": "comprehensive",
}


class ImportSchema(TriggeredSchema):
    success = fields.Boolean(required=True)
    import_id = fields.String(required=True, metadata={"description": "A sync_id."})


IMPORT = TRIGGERED | {"success": True, "message": "Patient import started successfully", "import_id": ID}


class SchedulerStatusSchema(Schema):
    organization_id = OrganizationId(required=True)
    sync_running = fields.Boolean(required=True)
    last_sync_time = Time(required=True, allow_none=True, metadata={"description": "When a run last completed."})
    next_sync_time = Time(
        required=True, allow_none=True, metadata={"description": "null where nothing starts by itself."}
    )
    scheduler_active = fields.Boolean(
        required=True, metadata={"description": "Whether a scheduler has ticked lately, with the schedule switched on."}
    )
    message = fields.String(required=True)


SCHEDULER = {
    "organization_id": ORGANIZATION,
    "sync_running": False,
    "last_sync_time": "2025-06-30T11:00:00.000Z",
    "next_sync_time": TIME_EXAMPLE,
    "scheduler_active": True,
    "message": "Scheduler status retrieved successfully",
}


class ProgressSchema(Schema):
    sync_id = fields.String(required=True, metadata={"example": EXAMPLE_ID})
    organization_id = OrganizationId(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    progress_percentage = fields.Float(required=True, metadata={"description": "0 to 100; only ever goes up."})
    current_step = fields.String(required=True)
    total_steps = fields.Integer(required=True)
    completed_steps = fields.Integer(required=True)
    started_at = Time(required=True, allow_none=True)
    estimated_completion = Time(
        required=True,
        allow_none=True,
        metadata={"description": "From the throughput so far; null before there is one."},
    )
    records_processed = fields.Integer(required=True)
    records_total = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "What the source named so far; null where it does not."},
    )
    current_operation = fields.String(required=True, allow_none=True)
    errors = fields.List(
        fields.Dict(), required=True, metadata={"description": "Why it failed or waits; the latest failed records."}
    )


PROGRESS: dict[str, Any] = {
    "sync_id": ID,
    "organization_id": ORGANIZATION,
    "status": "running",
    "progress_percentage": 75.4,
    "current_step": "Appointments",
    "total_steps": 2,
    "completed_steps": 1,
    "started_at": TIME_EXAMPLE,
    "estimated_completion": "2025-06-30T12:06:00.000Z",
    "records_processed": 490,
    "records_total": 650,
    "current_operation": "Appointments: 163 records",
    "errors": [],
}


class PastRunSchema(Schema):
    sync_id = fields.String(required=True)
    started_at = Time(required=True, allow_none=True)
    completed_at = Time(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    records_processed = fields.Integer(required=True)
    records_success = fields.Integer(required=True)
    records_failed = fields.Integer(required=True)
    metadata = fields.Dict(required=True)


class HistorySchema(Schema):
    organization_id = OrganizationId(required=True)
    total_syncs = fields.Integer(required=True)
    successful_syncs = fields.Integer(required=True)
    failed_syncs = fields.Integer(required=True)
    last_sync_at = Time(required=True, allow_none=True)
    last_successful_sync_at = Time(required=True, allow_none=True)
    average_sync_duration_seconds = fields.Float(
        required=True, allow_none=True, metadata={"description": "Of the completed ones; null before there is one."}
    )
    recent_syncs = fields.List(fields.Nested(PastRunSchema), required=True)


HISTORY = {
    "organization_id": ORGANIZATION,
    "total_syncs": 48,
    "successful_syncs": 47,
    "failed_syncs": 1,
    "last_sync_at": "2025-06-30T11:00:00.000Z",
    "last_successful_sync_at": "2025-06-30T11:06:00.000Z",
    "average_sync_duration_seconds": 360.5,
    "recent_syncs": [
        {
            "sync_id": ID,
            "started_at": "2025-06-30T11:00:00.000Z",
            "completed_at": "2025-06-30T11:06:00.000Z",
            "status": "completed",
            "records_processed": 947,
            "records_success": 947,
            "records_failed": 0,
            "metadata": {"sync_type": "basic", "patients_processed": 651, "appointments_processed": 296},
        }
    ],
}


class CleanupSchema(Schema):
    message = fields.String(required=True)
    cleaned_syncs = fields.Integer(required=True)
    timestamp = Time(required=True)


CLEANUP = {"message": "Cleaned up 2 stale syncs", "cleaned_syncs": 2, "timestamp": TIME_EXAMPLE}


class ClinikoStatusSchema(Schema):
    organization_id = OrganizationId(required=True)
    cliniko_connected = fields.Boolean(required=True)
    api_region = fields.String(required=True, allow_none=True)
    last_sync = Time(required=True, allow_none=True)
    total_patients = fields.Integer(required=True, metadata={"description": "Archived ones too, deleted ones not."})
    sync_enabled = fields.Boolean(required=True)
    credentials_valid = fields.Boolean(required=True)
    sync_status = fields.String(required=True, metadata={"description": "The sync's health, or not_configured."})


STATUS = {
    "organization_id": ORGANIZATION,
    "cliniko_connected": True,
    "api_region": "au4",
    "last_sync": "2025-06-30T11:00:00.000Z",
    "total_patients": 650,
    "sync_enabled": True,
    "credentials_valid": True,
    "sync_status": "healthy",
}


class ConnectionSchema(Schema):
    success = fields.Boolean(required=True)
    connection_status = fields.String(required=True)
    api_region = fields.String(required=True)
    response_time_ms = fields.Float(required=True)
    test_timestamp = Time(required=True)


CONNECTION = {
    "success": True,
    "connection_status": "healthy",
    "api_region": "au4",
    "response_time_ms": 245.0,
    "test_timestamp": TIME_EXAMPLE,
}


class KeySchema(Schema):
    api_key = fields.String(
        required=True,
        load_only=True,
        metadata={"example": "MS0xNzM0NTY3ODkwLWFiY2Rl-au4", "pattern": "^[!-9;-~]{1,512}$"},
    )


class StoredKeySchema(Schema):
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    organization_id = OrganizationId(required=True)
    api_region = fields.String(required=True)
    credentials_valid = fields.Boolean(required=True)
    timestamp = Time(required=True)


STORED = {
    "success": True,
    "message": "The API key was tried and stored",
    "organization_id": ORGANIZATION,
    "api_region": "au4",
    "credentials_valid": True,
    "timestamp": TIME_EXAMPLE,
}
