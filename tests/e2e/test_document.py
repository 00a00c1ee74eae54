"""Whatever a member, or nobody, asks of the API, it answers as its document says."""

from __future__ import annotations

import pytest

from tests.e2e.described import Described
from tests.openapi import read_document

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OPERATIONS = read_document().operations
REFUSED = {401, 404}  # without a token, which schemathesis tries by itself; an id of the wrong form is no route


def test_a_member(described: Described) -> None:
    found = described.try_out("--max-examples", "4", token=described.make_token("default"))
    assert found.is_fine, found.text
    assert found.tried() == {str(operation) for operation in OPERATIONS}
    for operation in OPERATIONS:
        statuses = found.statuses[str(operation)]
        assert statuses <= REFUSED | {403} if operation.is_admin_only else statuses - REFUSED, operation


def test_nobody(described: Described) -> None:
    found = described.try_out("--max-examples", "2")
    assert found.is_fine, found.text
    assert found.tried() == {str(operation) for operation in OPERATIONS}
    for operation in OPERATIONS:
        if not operation.is_open:
            assert found.statuses[str(operation)] <= REFUSED, operation
