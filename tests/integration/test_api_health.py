"""Alive, ready, healthy: open to everybody, states alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.context import EXTENSION
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.valkey import ValkeyServer
from tests.integration.api import Api, add_ended, ago, open_api, paused

HOUR = timedelta(hours=1)


def be_alive(api: Api, *, queues: tuple[str, ...] = ("sync", "default", "mailers"), span: timedelta = HOUR * 0) -> None:
    for name, kind, of in (("w", "worker", list(queues)), ("s", "scheduler", [])):
        api.execute(
            "INSERT INTO processes (name, kind, queues, seen_at) VALUES (%s, %s, %s, %s)", name, kind, of, ago(span)
        )


class TestReadiness:
    """GET /healthz, /readyz and /api/v1/health: open to everybody, states alone."""

    def test_alive(self, api: Api) -> None:
        assert api.get("/healthz", token=None).get_json() == {"status": "alive"}

    def test_ready(self, api: Api) -> None:
        be_alive(api)
        answer = api.get("/readyz", token=None)
        assert (answer.status_code, answer.get_json()["status"]) == (200, "ready")
        assert set(answer.get_json()["checks"]) == {"database", "redis", "migrations", "scheduler", "workers"}
        assert answer.get_json()["queues"] == {"sync": "ok", "default": "ok", "mailers": "ok"}

    @pytest.mark.parametrize("skew", [-HOUR, HOUR])
    def test_the_clock_of_the_api_decides_nothing(self, api: Api, skew: timedelta) -> None:
        api.app.extensions[EXTENSION].clock = lambda: ago(skew)
        be_alive(api, span=timedelta(seconds=20))
        assert self.failed(api) == {"workers", "scheduler"}
        api.execute("UPDATE processes SET seen_at = now()")
        assert api.get("/readyz", token=None).status_code == 200
        assert api.get("/api/v1/health", token=None).get_json()["dependencies"]["queues"] == "healthy"

    def failed(self, api: Api) -> set[str]:
        answer = api.get("/readyz", token=None)
        assert answer.status_code == 503
        assert answer.get_json()["status"] == "not_ready"
        return {name for name, state in answer.get_json()["checks"].items() if state == "failed"}

    def test_nobody_works(self, api: Api) -> None:
        assert self.failed(api) == {"workers", "scheduler"}

    def test_those_who_were_seen_too_long_ago(self, api: Api) -> None:
        be_alive(api, span=timedelta(seconds=20))
        assert self.failed(api) == {"workers", "scheduler"}

    def test_a_queue_without_a_worker(self, api: Api) -> None:
        be_alive(api, queues=("sync", "default"))
        assert self.failed(api) == {"workers"}
        assert api.get("/readyz").get_json()["queues"]["mailers"] == "failed"

    @pytest.mark.parametrize("revision", ["0000", None])
    def test_migrations_that_are_missing(self, api: Api, revision: str | None) -> None:
        be_alive(api)
        api.execute(
            "DELETE FROM alembic_version"
            if revision is None
            else f"UPDATE alembic_version SET version_num = '{revision}'"
        )
        assert "migrations" in self.failed(api)

    def test_an_empty_database(self, postgres: PostgresServer, redis_url: str) -> None:
        with open_api(postgres.url.replace("postgresql://", "postgresql+psycopg://"), redis_url) as api:
            assert self.failed(api) == {"migrations", "workers", "scheduler"}
            assert api.get("/api/v1/health", token=None).status_code == 503

    def test_redis_down(self, database_url: str) -> None:
        with open_api(database_url, "redis://127.0.0.1:9/0") as api:
            be_alive(api)
            assert self.failed(api) == {"redis"}

    def test_postgresql_down(self, redis_url: str) -> None:
        with open_api("postgresql+psycopg://nobody@127.0.0.1:9/nothing", redis_url) as api:
            assert "database" in self.failed(api)

    def test_health(self, api: Api) -> None:
        be_alive(api)
        answer = api.get("/api/v1/health", token=None)
        assert answer.status_code == 200
        assert answer.get_json() == {
            "status": "healthy",
            "dependencies": {"database": "healthy", "redis": "healthy", "external_api": "unknown", "queues": "healthy"},
        }

    def test_health_is_cached_for_five_seconds(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]
        monkeypatch.setattr("api.context.time.monotonic", lambda: now[0])
        assert api.get("/api/v1/health").get_json()["status"] == "degraded"
        be_alive(api)
        now[0] += 4
        assert api.get("/api/v1/health").get_json()["status"] == "degraded"
        now[0] += 2
        assert api.get("/api/v1/health").get_json()["status"] == "healthy"

    @pytest.mark.parametrize(
        ("clients_error", "appointments_error", "expected"),
        [
            (None, None, "healthy"),
            ("api_connection_failed", None, "degraded"),
            ("api_connection_failed", "rate_limit_exceeded", "unhealthy"),
            ("mass_delete_refused", None, "healthy"),
        ],
    )
    def test_the_external_api(
        self, api: Api, clients_error: str | None, appointments_error: str | None, expected: str
    ) -> None:
        be_alive(api)
        for sync, error in (("clients", clients_error), ("appointments", appointments_error)):
            add_ended(api, f"sync_{sync}", HOUR, "failed" if error else "completed", sync=sync, error_type=error)
        body = api.get("/api/v1/health").get_json()
        assert body["dependencies"]["external_api"] == expected
        assert body["status"] == ("healthy" if expected == "healthy" else "degraded")

    def test_an_external_api_that_is_not_configured(self, database_url: str, redis_url: str) -> None:
        with open_api(database_url, redis_url, mock_api_url=None) as api:
            be_alive(api)
            body = api.get("/api/v1/health").get_json()
        assert (body["status"], body["dependencies"]["external_api"]) == ("healthy", "not_configured")

    def test_a_paused_redis_holds_nobody_up_for_long(self, api: Api, valkey: ValkeyServer) -> None:
        be_alive(api)
        with paused(valkey):
            assert self.failed(api) == {"redis"}
