"""The stand-in for Cupid's content API, over HTTP as a client meets it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
import urllib3

from syncapp.demo import cupid_api
from syncapp.demo.cupid import cupid_server
from syncapp.demo.cupid_languages import translate
from syncapp.demo.cupid_records import make_property, property_ids
from syncapp.demo.faults import Fault
from tests.cupid_demo import LANGUAGES, Client, cupid
from tests.demo_process import demo_process
from tests.waiting import wait_for

FIRST, SECOND, THIRD = property_ids()[:3]
NOW = datetime(2026, 6, 30, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader() -> Iterator[Client]:
    """For tests that change nothing."""
    with cupid() as client:
        yield client


@pytest.fixture
def client() -> Iterator[Client]:
    with cupid() as client:
        yield client


def test_a_property_and_its_languages(reader: Client) -> None:
    shown = reader.get(f"property/{FIRST}")
    assert shown == make_property(1, FIRST)
    assert reader.get(f"property/{FIRST}/lang/fr") == translate(shown, "fr")
    assert reader.get(f"property/{FIRST}/lang/es") == {"data": translate(shown, "es")}


def test_reviews_are_a_bare_array_of_so_many_at_most_and_the_newest_first(reader: Client) -> None:
    count = reader.property(SECOND)["review_count"]
    reviews = reader.get(f"property/reviews/{SECOND}/1000000")
    assert len(reviews) == count
    assert [row["date"] for row in reviews] == sorted((row["date"] for row in reviews), reverse=True)
    assert sorted(map(orjson.dumps, reviews)) == sorted(map(orjson.dumps, reader.reviews(SECOND)))
    for wanted in (0, 7, count):
        assert reader.get(f"property/reviews/{SECOND}/{wanted}") == reviews[:wanted]


@pytest.mark.parametrize(
    "path", [f"property/{FIRST}", f"property/reviews/{FIRST}/10", f"property/{FIRST}/lang/fr", "property/999999999"]
)
def test_the_key_is_asked_for(reader: Client, path: str) -> None:
    for key in ("", "wrong"):
        answer = reader.call(path, x_api_key=key)
        assert (answer.status, list(orjson.loads(answer.data))) == (401, ["error"])
    assert reader.call(path, x_api_key="", authorization="Bearer demo-key").status == 401


@pytest.mark.parametrize(
    "path",
    [
        "property/999999999",
        "property/999999999/lang/fr",
        "property/reviews/999999999/10",
        f"property/{FIRST}/lang/de",
        f"property/{FIRST}/lang/",
        f"property/{FIRST}/",
        f"property/reviews/{FIRST}",
        f"property/reviews/{FIRST}/all",
        "property/one",
        "property/" + "9" * 5000,
        "property",
        "properties",
        f"../property/{FIRST}",
    ],
)
def test_what_there_is_not(reader: Client, path: str) -> None:
    answer = reader.call(path)
    assert (answer.status, list(orjson.loads(answer.data))) == (404, ["error"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
@pytest.mark.parametrize("path", [f"property/{FIRST}", f"property/reviews/{FIRST}/5", f"property/{FIRST}/lang/es"])
def test_other_methods(reader: Client, method: str, path: str) -> None:
    answer = reader.call(path, method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_an_etag_spares_what_is_known(reader: Client) -> None:
    for path, etag in reader.etags(FIRST).items():
        for sent in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            answer = reader.call(path, if_none_match=sent)
            assert (answer.status, answer.data, answer.headers["ETag"]) == (304, b"", etag)
            assert "Content-Type" not in answer.headers
            assert "Content-Length" not in answer.headers
        for sent in ('"other"', etag.strip('"'), f"W/{etag[:-2]}"):
            assert reader.call(path, if_none_match=sent).status == 200
    assert len(set(reader.etags(FIRST, SECOND).values())) == 8
    assert reader.call(f"property/{FIRST}", x_api_key="", if_none_match="*").status == 401
    assert reader.call("property/999999999", if_none_match="*").status == 404


def test_one_changed_field_changes_the_property_in_every_language_and_nothing_else(client: Client) -> None:
    before = client.etags(FIRST, SECOND, THIRD)
    client.property(SECOND)["rooms"][0]["max_adults"] += 1
    after = client.etags(FIRST, SECOND, THIRD)
    paths = {f"property/{SECOND}", *(f"property/{SECOND}/lang/{language}" for language in LANGUAGES)}
    assert {path for path in before if before[path] != after[path]} == paths
    fresh = client.call(f"property/{SECOND}/lang/es", if_none_match=before[f"property/{SECOND}/lang/es"])
    shown = orjson.loads(fresh.data)["data"]
    assert shown["rooms"][0]["max_adults"] == client.property(SECOND)["rooms"][0]["max_adults"]
    client.property(SECOND)["rooms"][0]["max_adults"] -= 1
    assert client.etags(FIRST, SECOND, THIRD) == before


def test_a_changed_review_changes_the_reviews_alone(client: Client) -> None:
    before = client.etags(FIRST, SECOND)
    client.reviews(FIRST)[0]["pros"] = "Another text"
    after = client.etags(FIRST, SECOND)
    assert {path for path in before if before[path] != after[path]} == {f"property/reviews/{FIRST}/1000"}


def test_a_property_is_translated_once_for_many_requests(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(cupid_api, "translate", lambda row, language: done.append(language) or translate(row, language))
    for expected in (["fr", "es"], ["fr", "es"] * 2):
        for _ in range(3):
            client.etags(FIRST)
        assert done == expected
        client.property(FIRST)["stars"] += 1


def test_a_time_spares_what_has_not_changed_since_and_hides_no_change_of_the_same_second() -> None:
    now = [NOW]
    with cupid(clock=lambda: now[0]) as client:
        path = f"property/{FIRST}"
        first = client.call(path).headers["Last-Modified"]
        assert first == format_datetime(NOW.replace(microsecond=0), usegmt=True)
        answer = client.call(path, if_modified_since=first)
        assert (answer.status, answer.data, answer.headers["Last-Modified"]) == (304, b"", first)
        assert client.call(path, if_modified_since=first, if_none_match='"other"').status == 200
        for wrong in ("yesterday", "", format_datetime(NOW - timedelta(days=1), usegmt=True)):
            assert client.call(path, if_modified_since=wrong).status == 200

        seen = [first]
        for _ in range(3):
            client.property(FIRST)["stars"] += 1
            answer = client.call(path, if_modified_since=seen[-1])
            assert answer.status == 200
            seen.append(answer.headers["Last-Modified"])
        assert len(set(seen)) == 4
        now[0] += timedelta(minutes=5)
        client.property(FIRST)["stars"] += 1
        assert client.call(path).headers["Last-Modified"] == format_datetime(now[0].replace(microsecond=0), usegmt=True)


def test_conditions_can_be_switched_off() -> None:
    with cupid(1, etags=False) as client:
        answer = client.call(f"property/{FIRST}", if_none_match="*")
        assert answer.status == 200
        assert not {"etag", "last-modified"} & {name.lower() for name in answer.headers}


def test_faults_by_path(client: Client) -> None:
    client.upstream.faults.add(Fault("status", path=f"/v3.0/property/{FIRST}", status=500))
    client.upstream.fail("truncate", path=f"/v3.0/property/{SECOND}", amount=1_000)
    client.upstream.fail("status", path=f"/v3.0/property/reviews/{THIRD}/*", status=503, times=1)
    assert client.call(f"property/{FIRST}").status == 500
    assert client.call(f"property/{FIRST}/lang/fr").status == 200
    with pytest.raises(orjson.JSONDecodeError):
        client.get(f"property/{SECOND}")
    assert [client.call(f"property/reviews/{THIRD}/10").status for _ in range(2)] == [503, 200]
    assert [request.path for request in client.upstream.requests][:2] == [
        f"/v3.0/property/{FIRST}",
        f"/v3.0/property/{FIRST}/lang/fr",
    ]


def test_steering_over_http_by_the_hotels_id(client: Client) -> None:
    def steer(path: str, body: object = None) -> list[dict[str, object]]:
        method = "GET" if body is None else "POST"
        answer = client.pool.request(method, f"{client.upstream.url}/{path}", body=orjson.dumps(body))
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    changed = make_property(1, SECOND) | {"stars": 1}
    added = make_property(1, 42)
    rows = steer("_records/properties", {"upsert": [changed, added], "delete": [FIRST]})
    assert [row["hotel_id"] for row in rows] == [SECOND, THIRD, 42]
    steer("_records/reviews", {"upsert": [{"hotel_id": THIRD, "reviews": [{"headline": "no date"}, None]}]})
    assert client.call(f"property/{FIRST}").status == 404
    assert client.get(f"property/{SECOND}/lang/es")["data"]["stars"] == 1
    assert client.get("property/42") == added
    assert client.get("property/reviews/42/10") == []
    assert client.get(f"property/reviews/{THIRD}/10") == [{"headline": "no date"}, None]
    log = steer("_requests")
    assert log[-1]["path"] == f"/v3.0/property/reviews/{THIRD}/10"
    assert b"demo-key" not in orjson.dumps(log)


def test_ids_and_keys_of_ones_own() -> None:
    with cupid(ids=[7, 8], api_key=None) as client:
        assert [row["hotel_id"] for row in client.upstream.records["properties"]] == [7, 8]
        assert client.call("property/8", x_api_key="").status == 200
    with cupid_server() as upstream:
        assert len(upstream.records["properties"]) == 100


def test_as_a_process_that_lives_and_ends_on_sigterm() -> None:
    with demo_process(
        "cupid", "--properties", "2", "--change-every", "0.05", "--no-etags", CUPID_API_KEY="from-env"
    ) as (running, url):
        assert running.stdout is not None
        assert url.endswith("/v3.0")
        assert running.stdout.readline().startswith("a change: property ")
        with urllib3.PoolManager(timeout=10) as pool:
            address, key = f"{url}/property/{FIRST}/lang/fr", {"x-api-key": "from-env"}
            first = pool.request("GET", address, headers=key)
            assert (first.status, "ETag" in first.headers) == (200, False)
            wait_for(lambda: pool.request("GET", address, headers=key).data != first.data, what="a change")
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
