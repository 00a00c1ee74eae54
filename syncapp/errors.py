"""What can go wrong, as facts.

    SyncError                       error_type, error_code, message
    +-- TransientError              waiting helps: retried with backoff, retry_after seconds when known
    |   +-- ConnectionFailed        api_connection_failed   the source or destination cannot be reached
    |   +-- RateLimited             rate_limit_exceeded     the source named a time; spends no attempt
    |   +-- DatabaseUnavailable     database_error
    |   +-- CircuitOpen             circuit_open            too many failures in a row; not asked at all
    +-- PermanentError              waiting does not help: the run fails
    |   +-- CredentialsMissing      credentials_not_found   the sync is not configured
    |   +-- CredentialsRefused      api_connection_failed   401 or 403 of the upstream
    |   +-- RequestRejected         api_connection_failed   any other 4xx, a redirect elsewhere: asking again is in vain
    |   +-- InvalidData             invalid_data_format     the whole answer cannot be understood
    |   +-- MassDeleteRefused       mass_delete_refused
    |   +-- Stale                   stale                   every attempt was lost with its worker
    +-- InvalidRecord               invalid_data_format     one record: a dead letter, never a failed run
    +-- RequestRefused              what was asked cannot be done; HTTP status in the contract
        +-- NotFound  Conflict  ValidationFailed  Unauthorized  Forbidden  SyncDisabled

Only the edges (a task, an HTTP error handler, the command line) turn these into retries, answers and exit codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

LONGEST_MESSAGE = 1_000


class SyncError(Exception):
    """Anything syncapp raises on purpose. `message` is fit for a user: no secret, no SQL."""

    error_type: ClassVar[str] = "internal_error"
    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, *, error_code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code or self.default_code


class TransientError(SyncError):
    """Waiting helps. `retry_after` is in seconds, None where nobody named a time."""

    def __init__(self, message: str, *, error_code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, error_code=error_code)
        self.retry_after = retry_after


class ConnectionFailed(TransientError):
    error_type = "api_connection_failed"
    default_code = "API_CONNECTION_FAILED"


class RateLimited(TransientError):
    error_type = "rate_limit_exceeded"
    default_code = "RATE_LIMIT_EXCEEDED"


class DatabaseUnavailable(TransientError):
    error_type = "database_error"
    default_code = "DATABASE_UNAVAILABLE"


class CircuitOpen(TransientError):
    error_type = "circuit_open"
    default_code = "CIRCUIT_OPEN"


class PermanentError(SyncError):
    """Waiting does not help."""


class CredentialsMissing(PermanentError):
    error_type = "credentials_not_found"
    default_code = "CREDENTIALS_NOT_FOUND"


class CredentialsRefused(PermanentError):
    error_type = "api_connection_failed"
    default_code = "CREDENTIALS_REFUSED"


class RequestRejected(PermanentError):
    error_type = "api_connection_failed"
    default_code = "API_REQUEST_REJECTED"


class InvalidData(PermanentError):
    error_type = "invalid_data_format"
    default_code = "INVALID_DATA_FORMAT"


class MassDeleteRefused(PermanentError):
    error_type = "mass_delete_refused"
    default_code = "MASS_DELETE_REFUSED"


class Stale(PermanentError):
    error_type = "stale"
    default_code = "ATTEMPTS_USED_UP"


class InvalidRecord(SyncError):
    """One record cannot be used. `external_id` is its key where it could be read."""

    error_type = "invalid_data_format"
    default_code = "INVALID_RECORD"

    def __init__(self, message: str, *, external_id: str | None = None) -> None:
        """What a message repeats of a record may be anything: here it becomes what PostgreSQL can hold."""
        super().__init__(message.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:LONGEST_MESSAGE])
        self.external_id = external_id


class RequestRefused(SyncError):
    """What somebody asked for cannot be done. `details` go into the answer beside the message."""

    def __init__(
        self, message: str, *, error_code: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, error_code=error_code)
        self.details = dict(details or {})


class NotFound(RequestRefused):
    error_type = "not_found"
    default_code = "NOT_FOUND"


class Conflict(RequestRefused):
    error_type = "conflict"
    default_code = "CONFLICT"


class ValidationFailed(RequestRefused):
    error_type = "validation_error"
    default_code = "VALIDATION_ERROR"


class Unauthorized(RequestRefused):
    error_type = "unauthorized"
    default_code = "UNAUTHORIZED"


class Forbidden(RequestRefused):
    error_type = "forbidden"
    default_code = "FORBIDDEN"


class SyncDisabled(RequestRefused):
    error_type = "sync_disabled"
    default_code = "SYNC_DISABLED"
