"""Hooks of schemathesis, in its own process: what a document cannot say, and a log of what was answered.

A request that fits the document is to be taken, but for the refusals named here: each is of a rule that no schema of a
single request can hold. Whatever else is refused is a fault of the document.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

ANSWERS = Path("answers")  # in the folder where it runs: operation and status, a line of JSON for each

# What is told by its error_code, and why.
OF_SEVERAL = {
    "ORGANIZATIONS_DISAGREE": "a path, a header and a body may each name an organization: the same one",
    "NOT_THE_DEFAULT_ORGANIZATION": "the default organization's name is a setting",
    "IDEMPOTENCY_KEY_REUSED": "what a key was used for is known from earlier requests",
}
# Fields of which a value of the right form may be none that is taken, and why.
OF_ONE = {
    "cursor": "only what a page before has given is one",
    "mode": "which there are depends on the sync",
    "cron": "a crontab line is more than a pattern",
    "interval": "a duration has bounds, however it is written",
    "timezone": "which there are depends on the machine",
    "name": "which characters can be printed is for Unicode to say",
    "since": "a time has no bounds in a schema",
    "api_key": "Cliniko decides",
    "batch_size": "what a setting's value may be depends on its key",
    "enable_auto": "as batch_size",
    "max_concurrent": "as batch_size",
    "rate_limit": "as batch_size",
    "retry_attempts": "as batch_size",
    "sync_interval": "as batch_size",
}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether it is a failure."""
    if isinstance(failure, RejectedPositiveData):
        details = response.json()["details"]
        return not (details["error_code"] in OF_SEVERAL or _all_in(details.get("fields", ()), OF_ONE))
    if isinstance(failure, AcceptedNegativeData):  # HTTP has headers ignored that nobody knows
        drawn = case.meta.phase.data
        unknown = drawn.description == "Object with unexpected properties"
        return not (unknown and drawn.parameter_location == ParameterLocation.HEADER)
    return True


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    if case.method.upper() == case.operation.method.upper():
        with ANSWERS.open("a") as log:
            print(json.dumps([case.operation.label, response.status_code]), file=log)


def _all_in(names: Collection[str], known: Collection[str]) -> bool:
    return bool(names) and set(names) <= set(known)
