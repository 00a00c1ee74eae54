"""A key at rest and on its way: encrypted for its organization alone, and never said by anybody."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import structlog

from syncapp.audit import SYSTEM
from syncapp.commands import rotate_credentials
from syncapp.demo.cliniko_records import make_records
from syncapp.encryption import Unreadable, Vault
from syncapp.engine import execute
from tests.integration.api import Api, check_error, open_api
from tests.integration.cliniko import KEY, Practice
from tests.integration.interrupting import before_page

CHECK = "/api/v1/cliniko/test-connection"
OLD, NEW = "the-old-secret-key-of-the-tests", "the-new-secret-key-of-the-tests"
PAIR = base64.b64encode(f"{KEY}:".encode()).decode()
FORMS = (KEY, PAIR.rstrip("="), PAIR[:-4], KEY.encode().hex(), KEY.removesuffix("-au4"))


def secrets(api: Api) -> dict[str, bytes]:
    return {row["organization_id"]: row["secret"] for row in api.query("SELECT * FROM credentials")}


class TestAtRest:
    """Under SYNCAPP_SECRET_KEY."""

    @pytest.fixture
    def stored(self, practice: Practice, database_url: str, redis_url: str) -> Any:
        """Opens the API with other secret keys, once the key was stored under the old one."""
        practice.api.add_organization("acme")
        practice.upstream.api.add(KEY)

        def opened(key: str, previous: str | None = None) -> Any:
            keys = {"syncapp_secret_key": key, "syncapp_secret_key_previous": previous}
            return open_api(database_url, redis_url, cliniko_api_url=f"{practice.upstream.url}/v1", **keys)

        with opened(OLD) as api:
            body = {"api_key": KEY}
            assert api.call("PUT", "/api/v1/cliniko/credentials/acme", json=body).status_code == 200
        return opened

    def test_the_previous_key_is_needed_until_they_are_rotated(self, stored: Any) -> None:
        with stored(NEW) as api:
            details = check_error(api.get(f"{CHECK}/acme"), 409, "credentials_not_found")
            assert details["error_code"] == "CREDENTIALS_UNREADABLE"
            assert "SYNCAPP_SECRET_KEY_PREVIOUS" in details["message"]
        with stored(NEW, OLD) as api:
            assert api.get(f"{CHECK}/acme").status_code == 200
            before = secrets(api)
            assert rotate_credentials(api.database, api.settings, SYSTEM) == 1
            assert secrets(api) != before
            assert api.get(f"{CHECK}/acme").status_code == 200
            [entry] = api.query("SELECT * FROM audit_log WHERE action = 'credentials.rotated'")
            assert (entry["actor"], entry["details"]) == ("system", {"count": 1})
        with stored(NEW) as api:
            assert api.get(f"{CHECK}/acme").status_code == 200
        with stored(OLD) as api:
            check_error(api.get(f"{CHECK}/acme"), 409, "credentials_not_found")

    def test_what_cannot_be_read_is_not_rotated(self, stored: Any) -> None:
        with stored("a-third-secret-key-of-the-tests", NEW) as api:
            before = secrets(api)
            with pytest.raises(Unreadable):
                rotate_credentials(api.database, api.settings, SYSTEM)
            assert secrets(api) == before
            assert api.query("SELECT * FROM audit_log WHERE action = 'credentials.rotated'") == []

    def test_storing_it_again_mends_it(self, stored: Any) -> None:
        with stored(NEW) as api:
            check_error(api.get(f"{CHECK}/acme"), 409)
            assert api.call("PUT", "/api/v1/cliniko/credentials/acme", json={"api_key": KEY}).status_code == 200
            assert api.get(f"{CHECK}/acme").status_code == 200


@pytest.mark.parametrize("owner", ["cliniko:acme", "other:thief", "thief", ""])
def test_what_was_sealed_for_another_opens_nothing(practice: Practice, owner: str) -> None:
    practice.add("thief", "its-own-key-au1")
    check_unreadable(practice, Vault(practice.api.settings).seal(KEY, owner))


def test_a_row_that_was_copied_or_altered_opens_nothing(practice: Practice) -> None:
    practice.add("acme")
    practice.add("thief", "its-own-key-au1")
    copied = secrets(practice.api)["acme"]
    altered = bytearray(secrets(practice.api)["thief"])
    altered[40] = ord("A") if altered[40] != ord("A") else ord("B")
    for secret in (copied, bytes(altered), copied[:-1], b"", b"\x00\xff", KEY.encode()):
        check_unreadable(practice, secret)


def check_unreadable(practice: Practice, secret: bytes) -> None:
    practice.api.execute("UPDATE credentials SET secret = %s WHERE organization_id = 'thief'", secret)
    practice.upstream.requests.clear()
    details = check_error(practice.api.get(f"{CHECK}/thief"), 409, "credentials_not_found")
    assert details["error_code"] == "CREDENTIALS_UNREADABLE"
    run = practice.sync("thief")
    assert (run["status"], run["error_type"]) == ("failed", "credentials_not_found")
    assert run["error_code"] == "CREDENTIALS_UNREADABLE"
    assert list(practice.upstream.requests) == []


class TestNeverSaid:
    """In no answer, no line of the log, no row, nothing in Redis; not even where Cliniko repeats it."""

    @pytest.fixture
    def said(
        self, practice: Practice, redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[list[str]]:
        """What was answered; at the end all that was written is looked through too."""
        answers: list[str] = []

        def call(*asked: Any, **more: Any) -> Any:
            answer = Api.call(practice.api, *asked, **more)
            answers.append(f"{answer.headers}\n{answer.get_data(as_text=True)}")
            return answer

        monkeypatch.setattr(practice.api, "call", call, raising=False)
        caplog.set_level(logging.DEBUG)
        with structlog.testing.capture_logs() as lines:
            yield answers
        # A logger that a test before has configured writes through the standard library.
        logged = [*map(repr, lines), *(record.getMessage() for record in caplog.get_records("call"))]
        texts = [*answers, *logged, caplog.text, *rows(practice.api), *remembered(redis_url)]
        assert len(answers) > 1
        assert len(logged) > 1
        assert [text for text in texts for form in FORMS if form in text] == []

    def test_while_all_is_well(self, practice: Practice, said: list[str]) -> None:
        practice.add("acme", records=make_records(1, patients=30, appointments=30))
        practice.api.get(f"{CHECK}/acme")
        practice.api.get("/api/v1/cliniko/status/acme")
        sync_id = practice.sync("acme", "comprehensive")["sync_id"]
        assert practice.run(sync_id)["status"] == "completed"
        for path in (f"sync/progress/{sync_id}", "sync/history/acme", f"runs/{sync_id}", "syncs"):
            assert practice.api.get(f"/api/v1/{path}", headers={"X-Organization-ID": "acme"}).status_code == 200
        practice.api.call("DELETE", "/api/v1/cliniko/credentials/acme")

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "html", "text": f"<p>Whose is {KEY}? Or {PAIR}?</p>"},
            {"kind": "status", "status": 500, "text": f"{KEY} {PAIR}"},
            {"kind": "status", "status": 418, "text": f"{KEY} {PAIR}"},
            {"kind": "redirect", "text": f"https://elsewhere.example/{KEY}?key={PAIR}"},
            {"kind": "redirect", "text": f"https://{KEY}:x@elsewhere.example/"},
            {"kind": "body", "text": f'{{"{KEY}": "{PAIR}"}}'},
            {"kind": "body", "text": f'["{KEY}'},
            {"kind": "body", "text": f'{{"patients": [], "links": {{"next": "https://{KEY}.example/{PAIR}"}}}}'},
        ],
    )
    def test_what_cliniko_repeats(self, practice: Practice, said: list[str], fault: dict[str, Any]) -> None:
        practice.add("acme", records=make_records(1, patients=120, appointments=0))
        practice.upstream.fail(**fault)
        key = {"api_key": KEY}
        practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json=key)
        practice.api.get(f"{CHECK}/acme")
        run = practice.sync("acme", "patients-only")
        assert run["status"] != "completed"
        practice.api.get(f"/api/v1/sync/progress/{run['sync_id']}")

    def test_when_it_is_refused(self, practice: Practice, said: list[str]) -> None:
        practice.add("acme", records=make_records(1, patients=230, appointments=0))
        sync_id = practice.start("acme")
        with before_page(practice.upstream, "patients", 2, lambda: practice.upstream.api.revoke(KEY)):
            execute(sync_id, practice.runtime)
        assert practice.run(sync_id)["error_code"] == "CREDENTIALS_REFUSED"
        practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json={"api_key": KEY})

    @pytest.mark.parametrize("body", [{"api_key": KEY, "more": 1}, {"key": KEY}, {"api_key": [KEY]}, KEY, [KEY]])
    def test_in_a_wrong_body(self, practice: Practice, said: list[str], body: Any) -> None:
        practice.add("acme")
        check_error(practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json=body), 422)

    def test_in_a_bug(self, practice: Practice, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        practice.add("acme")
        sync_id = practice.start("acme")
        monkeypatch.setattr("syncapp.connectors.rest.reader.understand", lambda *_: 1 / 0)
        check_error(practice.api.get(f"{CHECK}/acme"), 500, "internal_error")
        check_error(practice.api.call("PUT", "/api/v1/cliniko/credentials/acme", json={"api_key": KEY}), 500)
        assert execute(sync_id, practice.runtime) == "failed"


def rows(api: Api) -> list[str]:
    """Every row of every table, as PostgreSQL shows it."""
    tables = api.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [
        row["text"] for table in tables for row in api.query(f"SELECT t::text AS text FROM {table['tablename']} AS t")
    ]


def remembered(redis_url: str) -> list[str]:
    with redis.Redis.from_url(redis_url) as client:
        return [f"{name!r} {client.dump(name)!r}" for name in client.keys("*")]
