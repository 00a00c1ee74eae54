"""Pages of other origins."""

from __future__ import annotations

import pytest

from tests.integration.api import Api, open_api


class TestOrigins:
    """Pages of other origins use the API where CORS_ORIGINS names them."""

    def test_none_by_default(self, api: Api) -> None:
        answer = api.get("/healthz", headers={"Origin": "https://a.example"})
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize(
        ("allowed", "origin", "expected"),
        [
            ("https://a.example", "https://a.example", "https://a.example"),
            ("https://b.example, https://a.example/", "https://a.example", "https://a.example"),
            ("*", "https://a.example", "https://a.example"),
            ("https://b.example", "https://a.example", None),
            ("https://a.example", "https://a.example.evil", None),
        ],
    )
    def test_those_that_are_named(
        self, database_url: str, redis_url: str, allowed: str, origin: str, expected: str | None
    ) -> None:
        with open_api(database_url, redis_url, cors_origins=allowed) as api:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = api.call("OPTIONS", "/api/v1/sync/all", token=None, headers=asked)
            refused = api.get("/api/v1/runs", token=None, headers={"Origin": origin})
        assert preflight.status_code == 200
        assert preflight.headers.get("Access-Control-Allow-Origin") == expected
        assert ("POST" in preflight.headers.get("Access-Control-Allow-Methods", "")) == (expected is not None)
        assert refused.headers.get("Access-Control-Allow-Origin") == expected
        assert "Origin" in refused.headers["Vary"]
