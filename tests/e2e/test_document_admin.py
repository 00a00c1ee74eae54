"""Whatever an admin asks of the API, it answers as its document says."""

from __future__ import annotations

import pytest

from tests.e2e.described import Described
from tests.integration.api import ADMIN
from tests.openapi import read_document

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_an_admin(described: Described) -> None:
    found = described.try_out("--max-examples", "20", token=ADMIN)
    assert found.is_fine, found.text
    # Nor was all of it about what is refused.
    assert found.tried() == {str(operation) for operation in read_document().operations}
    assert {name for name in found.tried() - found.taken() if name.startswith("GET ")} == {"GET /readyz"}
