"""`Idempotency-Key`: a retried POST returns the first answer, even after that run ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.api import Api, add_dead_letter, check_error

ONE = ["/api/v1/sync/clients", "/api/v1/sync/appointments"]
BOTH = ["/api/v1/sync/all", "/api/v1/sync/force"]


class TestIdempotency:
    """A retried POST returns the first answer, even after that run ended."""

    @pytest.mark.parametrize("path", [*ONE, *BOTH])
    def test_the_first_answer(self, api: Api, path: str) -> None:
        first = api.post(path, headers={"Idempotency-Key": "k"})
        api.end_runs()
        again = api.post(path, headers={"Idempotency-Key": "k"})
        assert (again.status_code, again.get_json()) == (202, first.get_json())
        assert len(api.dispatcher.sent) == len(api.runs())
        assert api.post(path).get_json()["sync_id"] != first.get_json()["sync_id"]

    def test_another_key_is_another_request(self, api: Api) -> None:
        first = api.post(ONE[0], headers={"Idempotency-Key": "k"}).get_json()
        api.end_runs()
        assert api.post(ONE[0], headers={"Idempotency-Key": "l"}).get_json()["sync_id"] != first["sync_id"]

    def test_the_answer_that_nothing_was_started_is_kept_too(self, api: Api) -> None:
        first = api.post(ONE[0]).get_json()["sync_id"]
        for _ in range(2):
            answer = api.post(ONE[0], headers={"Idempotency-Key": "k"}).get_json()
            assert (answer["sync_started"], answer["sync_id"]) == (False, first)
            api.end_runs()

    @pytest.mark.parametrize("path", [ONE[1], "/api/v1/sync/all"])
    def test_the_same_key_for_another_route(self, api: Api, path: str) -> None:
        api.post(ONE[0], headers={"Idempotency-Key": "k"})
        check_error(api.post(path, headers={"Idempotency-Key": "k"}), 422, "validation_error")

    def test_the_same_key_for_another_body(self, api: Api) -> None:
        header = {"Idempotency-Key": "k"}
        first = api.post("/api/v1/runs", json={"sync": "clients"}, headers=header).get_json()
        spelled = api.post("/api/v1/runs", json={"dry_run": False, "sync": "clients"}, headers=header)
        assert spelled.get_json() == first
        other = api.post("/api/v1/runs", json={"sync": "clients", "dry_run": True}, headers=header)
        check_error(other, 422, "validation_error")

    def test_organizations_do_not_share_keys(self, api: Api) -> None:
        api.add_organization("acme")
        header = {"Idempotency-Key": "k"}
        first = api.post("/api/v1/runs", json={"sync": "clients"}, headers=header).get_json()
        other = api.post("/api/v1/runs", json={"sync": "clients", "organization_id": "acme"}, headers=header)
        assert other.status_code == 202
        assert other.get_json()["sync_id"] != first["sync_id"]

    def test_a_key_is_forgotten_after_a_day(self, api: Api) -> None:
        first = api.post(ONE[0], headers={"Idempotency-Key": "k"}).get_json()
        api.end_runs()
        api.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
        assert api.post(ONE[0], headers={"Idempotency-Key": "k"}).get_json()["sync_id"] != first["sync_id"]

    def test_a_refusal_is_not_kept(self, api: Api) -> None:
        api.patch("/api/v1/schedules/clients", json={"enabled": False})
        check_error(api.post(ONE[0], headers={"Idempotency-Key": "k"}), 409)
        api.patch("/api/v1/schedules/clients", json={"enabled": True})
        assert api.post(ONE[0], headers={"Idempotency-Key": "k"}).status_code == 202

    def test_many_at_once_with_one_key(self, api: Api) -> None:
        def ask(_: int) -> Any:
            return api.again().post(ONE[0], headers={"Idempotency-Key": "k"}).get_json()

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(16)))
        assert all(answer == answers[0] for answer in answers)
        assert len(api.runs()) == 1

    @pytest.mark.parametrize("key", ["a", "x" * 255, "ä ö/|'\"", "7f3c-é"])
    def test_opaque_keys(self, api: Api, key: str) -> None:
        first = api.post(ONE[0], headers={"Idempotency-Key": key})
        assert first.status_code == 202
        assert api.post(ONE[0], headers={"Idempotency-Key": key}).get_json() == first.get_json()

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b", "a\tb"])
    def test_what_is_no_key(self, api: Api, key: str) -> None:
        details = check_error(api.post(ONE[0], headers={"Idempotency-Key": key}), 422, "validation_error")
        assert set(details["fields"]) == {"Idempotency-Key"}

    @pytest.mark.parametrize("action", ["retry", "errors/replay"])
    def test_retry_and_replay(self, api: Api, action: str) -> None:
        api.add_run("sync_old", status="failed", started_at=datetime.now(UTC) - timedelta(hours=1))
        add_dead_letter(api, "sync_old")
        header = {"Idempotency-Key": "k"}
        first = api.post(f"/api/v1/runs/sync_old/{action}", headers=header)
        assert first.status_code == 202
        again = api.post(f"/api/v1/runs/sync_old/{action}", headers=header)
        assert again.get_json() == first.get_json()
        assert len(api.dispatcher.sent) == 1
