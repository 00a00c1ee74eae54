"""Settings over the API and from the command line: what can be changed while the sync runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from getpass import getuser
from typing import Any

import orjson
import pytest

from syncapp.demo.exchange import Request
from tests.integration.administration import CONFIGURED, SYNC, data
from tests.integration.api import TIME, Api, check_error, open_api
from tests.integration.cli import Shell, one_line
from tests.integration.properties import open_catalogue

SETTINGS = f"{SYNC}/settings"
FIRST = {
    "sync_interval": "12h",
    "enable_auto": "true",
    "batch_size": "10",
    "max_concurrent": "5",
    "retry_attempts": "3",
    "rate_limit": "10",
}


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[Api]:
    with open_api(database_url, redis_url, **CONFIGURED) as made:
        yield made


def settings(api: Api) -> dict[str, str]:
    return {one["setting_key"]: one["setting_value"] for one in data(api, "GET", "/settings")}


def body(**values: Any) -> list[dict[str, Any]]:
    return [{"setting_key": key, "setting_value": value} for key, value in values.items()]


def put(api: Api, **values: Any) -> dict[str, str]:
    found = data(api, "PUT", "/settings", json=body(**values))
    return {one["setting_key"]: one["setting_value"] for one in found}


def refused(api: Api, sent: Any, status: int = 422) -> dict[str, Any]:
    """What is wrong, by field. Nothing is changed."""
    before = (settings(api), api.query("SELECT * FROM audit_log"))
    raw = sent if isinstance(sent, bytes) else orjson.dumps(sent)
    details = check_error(api.call("PUT", SETTINGS, data=raw, content_type="application/json"), status)
    assert (settings(api), api.query("SELECT * FROM audit_log")) == before
    fields: dict[str, Any] = details["fields"]
    return fields


class TestOverHttp:
    def test_the_first_values(self, api: Api) -> None:
        found = data(api, "GET", "/settings")
        assert {one["setting_key"]: one["setting_value"] for one in found} == FIRST
        assert all(set(one) == {"setting_key", "setting_value", "description", "updated_at"} for one in found)
        assert all(one["description"] and TIME.fullmatch(one["updated_at"]) for one in found)
        rows = api.query("SELECT setting_key, setting_value, description FROM sync_settings ORDER BY id")
        assert [{**one, "updated_at": None} for one in rows] == [{**one, "updated_at": None} for one in found]

    def test_the_documents_own_example(self, api: Api) -> None:
        answer = api.call("PUT", SETTINGS, json=[{"setting_key": "sync_interval", "setting_value": "6h"}])
        assert answer.status_code == 200
        assert settings(api) == FIRST | {"sync_interval": "6h"}
        assert data(api, "GET", "/status")["sync_interval"] == "6h"

    def test_each_value_may_be_a_text_or_what_it_is(self, api: Api) -> None:
        as_text = {"sync_interval": "2h", "enable_auto": "false", "batch_size": "20", "rate_limit": "5"}
        assert put(api, **as_text) == FIRST | as_text
        as_itself = {"sync_interval": 3_600, "enable_auto": True, "batch_size": 30, "rate_limit": 6.0}
        assert put(api, **as_itself) == FIRST | {"sync_interval": "1h", "batch_size": "30", "rate_limit": "6"}
        whole = {"sync_interval": "5m", "enable_auto": False, "batch_size": 1, "max_concurrent": 32}
        found = put(api, **whole, retry_attempts=0, rate_limit=100)
        assert list(found.values()) == ["5m", "false", "1", "32", "100", "0"]

    def test_the_answer_of_a_put_is_that_of_a_get(self, api: Api) -> None:
        answered = data(api, "PUT", "/settings", json=body(rate_limit=5))
        assert answered == data(api, "GET", "/settings")
        assert data(api, "PUT", "/settings", json=body(rate_limit=5)) == answered

    def test_the_switch_is_the_schedules(self, api: Api) -> None:
        put(api, enable_auto=False, sync_interval="24h")
        found = api.get("/api/v1/schedules").get_json()["items"]
        [schedule] = [one for one in found if one["name"] == "properties"]
        assert (schedule["enabled"], schedule["interval"], schedule["next_run_at"]) == (False, 86_400, None)
        check_error(api.post(SYNC), 409, "sync_disabled")
        api.patch("/api/v1/schedules/properties", json={"enabled": True, "interval": "30m"})
        assert settings(api).items() >= {"enable_auto": "true", "sync_interval": "30m"}.items()

    def test_it_is_told_who_did_it(self, api: Api) -> None:
        api.call("PUT", SETTINGS, json=body(rate_limit=5), headers={"X-Request-ID": "r"})
        [entry] = api.get("/api/v1/audit?action=settings.changed").get_json()["items"]
        assert (entry["actor"], entry["request_id"], entry["target"]) == ("environment", "r", "properties")
        assert entry["details"] == {"before": {"rate_limit": "10"}, "after": {"rate_limit": "5"}}


OUT_OF_RANGE = {
    "sync_interval": ["4m59s", "8d", 299, 604_801, "0 */6 * * *"],
    "enable_auto": ["yes", "1", 1, 0, ""],
    "batch_size": [0, 101, "0", "5.5", 5.5, ""],
    "max_concurrent": [0, 33],
    "retry_attempts": [-1, 11],
    "rate_limit": [0, 101],
}
HOSTILE: list[Any] = ["Infinity", "NaN", "5\x00", "\u0665", "9" * 5_000, 10**30, -(10**30), 1e308]
HOSTILE += [{}, [], {"a": [1]}, [[1]], "[1]"]
RATE = {"setting_key": "rate_limit", "setting_value": 5}
NO_SETTINGS: list[Any] = [[], {}, "x", 5, None, True, [5], ["x"], [None], [[]], RATE, b""]
NO_SETTINGS += [[{}], [{"setting_key": "rate_limit"}], [{"setting_value": 5}], [RATE | {"setting_value": None}]]
NO_SETTINGS += [[RATE | {"setting_key": key}] for key in (5, None, ["rate_limit"], "", "rate\x00", "x" * 65)]
NO_SETTINGS += [[RATE | {"description": "x"}], [RATE] * 7, [RATE] * 10_000]


class TestWhatIsRefused:
    @pytest.mark.parametrize("key", OUT_OF_RANGE)
    def test_a_value_out_of_its_range(self, api: Api, key: str) -> None:
        for value in OUT_OF_RANGE[key]:
            assert set(refused(api, body(**{key: value}))) == {key}, value

    @pytest.mark.parametrize("key", ["batch_size", "sync_interval", "enable_auto"])
    def test_a_value_that_nobody_would_send(self, api: Api, key: str) -> None:
        for value in HOSTILE:
            raw = orjson.dumps(body(**{key: "it"})).replace(b'"it"', json.dumps(value).encode())
            assert set(refused(api, raw)) == {key}, value

    def test_a_number_that_is_no_json(self, api: Api) -> None:
        for value in ("Infinity", "NaN", "-Infinity", "1e999"):
            refused(api, f'[{{"setting_key": "batch_size", "setting_value": {value}}}]'.encode(), 400)

    def test_one_of_several(self, api: Api) -> None:
        sent = body(sync_interval="6h", rate_limit=5, batch_size=1_000, enable_auto=False, nothing="x")
        assert set(refused(api, sent)) == {"batch_size", "nothing"}

    @pytest.mark.parametrize("second", [5, 6, "x"])
    def test_a_setting_that_is_given_twice(self, api: Api, second: Any) -> None:
        assert set(refused(api, [*body(rate_limit=5), *body(rate_limit=second)])) == {"rate_limit"}

    def test_what_is_no_list_of_settings(self, api: Api) -> None:
        for sent in NO_SETTINGS:
            assert refused(api, sent), sent

    def test_what_is_no_json(self, api: Api) -> None:
        for raw in (b"[", b"\xff", b"[" * 5_000 + b"]" * 5_000):
            refused(api, raw, 400)

    def test_another_type_and_a_body_that_is_too_long(self, api: Api) -> None:
        check_error(api.call("PUT", SETTINGS, data=b"[]", content_type="text/plain"), 415)
        long = orjson.dumps(body(rate_limit="5" * 1_100_000))
        check_error(api.call("PUT", SETTINGS, data=long, content_type="application/json"), 413)

    def test_many_at_once(self, api: Api) -> None:
        """In orders that cross each other: every one is done, none waits for ever."""

        def work(number: int) -> int:
            sent = body(rate_limit=number, batch_size=number, sync_interval=f"{number}h")[:: 1 if number % 2 else -1]
            return api.again().call("PUT", SETTINGS, json=sent).status_code

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(work, range(1, 31))) == {200}
        found = settings(api)
        assert found["sync_interval"] == f"{found['rate_limit']}h"
        assert found["batch_size"] == found["rate_limit"]


def test_a_change_holds_from_the_next_batch_on(database_url: str, redis_url: str) -> None:
    """While the first property is asked for, batches of one become batches of all that are left."""
    with open_catalogue(database_url, redis_url, 6, sync_batch_size=1) as catalogue:
        sync_id = catalogue.start()
        answer, changed = catalogue.upstream.answer, []

        def change_first(request: Request) -> Any:
            if not changed:
                changed.append(put(catalogue.api.again(), batch_size=50))
            return answer(request)

        catalogue.upstream.answer = change_first  # type: ignore[method-assign]
        assert catalogue.work(sync_id)["status"] == "completed"
        events = catalogue.api.query("SELECT data FROM run_events WHERE kind = 'progress' ORDER BY seq")
        assert [one["data"]["records_processed"] for one in events][:2] == [1, 6]


class TestFromTheCommandLine:
    def test_they_are_listed(self, shell: Shell) -> None:
        for words in (["settings"], ["settings", "list"]):
            found = shell.json(*words)
            assert {one["setting_key"]: one["setting_value"] for one in found["items"]} == FIRST
            assert found["total"] == 6
            lines = shell(*words).out.splitlines()
            assert lines[0].split()[:3] == ["SETTING", "VALUE", "CHANGED"]
            assert lines[1].split()[:2] == ["sync_interval", "12h"]

    def test_they_are_changed(self, shell: Shell) -> None:
        found = shell.json("settings", "set", "rate_limit=5", "sync_interval=6h", "enable_auto=false")
        shown = {one["setting_key"]: one["setting_value"] for one in found["items"]}
        assert shown == FIRST | {"rate_limit": "5", "sync_interval": "6h", "enable_auto": "false"}
        assert "6h" in shell("settings").out
        rows = shell.rows("SELECT actor, action, details FROM audit_log ORDER BY id")
        assert {row["actor"] for row in rows} == {f"cli:{getuser()}"}
        assert rows[-1]["action"] == "settings.changed"
        assert rows[-1]["details"]["after"] == {"rate_limit": "5", "sync_interval": "6h", "enable_auto": "false"}

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["rate_limit=0"], "rate_limit: Must be a whole number from 1 to 100."),
            (["nothing=1"], "nothing: There is no such setting"),
            (["rate_limit=5", "rate_limit=6"], "rate_limit: Is given more than once."),
            (["sync_interval=nan"], "sync_interval: Must be a duration from 5m to 7d"),
            (["batch_size=20", "enable_auto="], "enable_auto: Must be true or false."),
        ],
    )
    def test_what_is_wrong_is_said(self, shell: Shell, words: list[str], said: str) -> None:
        assert said in one_line(shell("settings", "set", *words, code=1).err)
        assert said in shell.json("settings", "set", *words, code=1)["details"]["message"]
        found = shell.json("settings")["items"]
        assert {one["setting_key"]: one["setting_value"] for one in found} == FIRST

    def test_a_mistake_in_the_words(self, shell: Shell) -> None:
        assert "Write each as KEY=VALUE" in shell("settings", "set", "rate_limit", "5", code=2).err
        assert "Missing argument" in shell("settings", "set", code=2).err
