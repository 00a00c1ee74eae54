"""The demo upstream: what it serves, how it is steered, how it runs as a process."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import urllib3

from config.settings import Settings
from syncapp.connectors.rest import Bearer
from syncapp.db import Database
from syncapp.definition import SourceContext
from syncapp.demo.faults import KINDS, Fault
from syncapp.demo.server import DemoServer
from syncapp.demo.wellness_records import TIME_FORMS, Wellness
from syncapp.syncs.wellness import normalize_appointments, normalize_clients
from tests.demo_process import demo_process
from tests.rest import UNUSED, ids, read, rows
from tests.waiting import wait_for

NOW = datetime(2025, 6, 30, 12, 0, 0, tzinfo=UTC)


def call(url: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any]:
    with urllib3.PoolManager(retries=False, timeout=10) as pool:
        answer = pool.request(method, url, body=None if body is None else orjson.dumps(body), headers=headers)
        return answer.status, orjson.loads(answer.data)


class NoLimit:
    def acquire(self, key: str) -> None:
        """Allows everything."""


@pytest.fixture
def context() -> SourceContext:
    return SourceContext(Settings(), "default", "default", lambda: NOW, NoLimit(), Database(UNUSED))


def test_the_same_seed_makes_the_same_records() -> None:
    first, second = (Wellness(7, NOW).records(50, 100) for _ in range(2))
    assert first == second
    assert Wellness(8, NOW).records(50, 100) != first


def test_every_generated_record_can_be_used(context: SourceContext) -> None:
    records = Wellness(1, NOW).records(500, 2000)
    clients = [normalize_clients(context)(record) for record in records["clients"]]
    appointments = [normalize_appointments(context)(record) for record in records["appointments"]]
    assert [row.key for row in clients] == [str(number) for number in range(1, 501)]
    assert len({row.key for row in appointments}) == 2000
    assert any(row.deleted for row in clients)
    assert any(row.deleted for row in appointments)
    assert any(row.related for row in appointments)


@pytest.mark.parametrize("form", TIME_FORMS)
def test_every_form_of_a_time_says_the_same(context: SourceContext, form: Any) -> None:
    time = datetime(2025, 6, 30, 14, 0, tzinfo=UTC)
    row = normalize_appointments(context)({"id": 1, "client_id": 1, "status": "booked", **form(time)})
    expected = normalize_appointments(context)({"id": 1, "client_id": 1, "starts_at": "2025-06-30T14:00:00Z"})
    assert row.values[2] == expected.values[2] is not None


def test_what_happens_in_a_practice_stays_usable(context: SourceContext) -> None:
    wellness = Wellness(3, NOW)
    records = wellness.records(0, 0)
    done = {wellness.change_something(records, NOW) for _ in range(200)}
    assert {"client joined", "client moved", "booked", "status", "removed"} <= done
    for normalize, resource in ((normalize_clients, "clients"), (normalize_appointments, "appointments")):
        assert len({normalize(context)(record).key for record in records[resource]}) == len(records[resource]) > 0


def test_the_key_is_checked() -> None:
    with DemoServer({"clients": rows(1)}, api_key="right") as server:
        assert call(f"{server.url}/clients")[0] == 401
        assert call(f"{server.url}/clients", Authorization="Bearer wrong")[0] == 401
        assert ids(read(server, auth=Bearer("right"))) == [1]


def test_what_is_not_served() -> None:
    with DemoServer({"clients": []}) as server:
        assert call(f"{server.url}/people")[0] == 404
        assert call(f"{server.url}/clients", "DELETE")[0] == 405
        assert call(f"{server.url}/clients?updated_since=soon")[0] == 422
    with pytest.raises(ValueError, match="style"):
        DemoServer(style="unheard-of")


def test_steering_over_http() -> None:
    with DemoServer({"clients": rows(3)}) as server:
        faults = f"{server.url}/_faults"
        assert call(faults, "POST", {"kind": "status", "path": "/clients", "status": 503, "times": 1})[0] == 200
        assert call(faults, "POST", [{"kind": "html", "page": 9}])[1][1]["page"] == 9
        assert call(f"{server.url}/clients")[0] == 503
        assert call(f"{server.url}/clients")[0] == 200
        assert call(faults)[1][0]["seen"] == 1
        assert call(faults, "DELETE") == (200, [])
        assert call(faults, "POST", {"kind": "gremlins"})[0] == 422
        assert call(faults, "POST", {"no": "kind"})[0] == 422

        records = f"{server.url}/_records/clients"
        assert call(records)[1] == rows(3)
        assert [row["id"] for row in call(records, "POST", {"upsert": [{"id": 2}, {"id": 9}], "delete": [1]})[1]] == [
            2,
            3,
            9,
        ]
        assert call(records, "POST", [{"id": 5}])[1] == [{"id": 5}]
        assert call(f"{server.url}/_records/people")[0] == 404
        assert ids(read(server)) == [5]

        log = call(f"{server.url}/_requests")[1]
        assert log[-1]["path"] == "/clients"
        assert log[-1]["params"] == {"page": "1", "per_page": "10"}
        assert call(f"{server.url}/_requests", "DELETE")[1] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_happens_where_and_as_often_as_it_was_asked_for(kind: str) -> None:
    with DemoServer({"clients": rows(30), "people": rows(30)}, style="header_total") as server:
        server.fail(kind, path="/clients", page=2, after=1, times=1, seconds=0.001, text="/people", amount=1)
        pool = urllib3.PoolManager(retries=False, timeout=0.5)
        outcomes = []
        for path in ("/people?page=2", "/clients?page=1", "/clients?page=2", "/clients?page=2", "/clients?page=2"):
            try:
                answer = pool.request("GET", f"{server.url}{path}&per_page=3", redirect=False)
                outcomes.append((answer.status, answer.headers["Content-Type"], answer.data))
            except urllib3.exceptions.HTTPError as error:
                outcomes.append((type(error).__name__, "", b""))
        pool.clear()
        good = (200, "application/json")
        assert [outcome[:2] for outcome in outcomes[:3]] == [good] * 3
        assert outcomes[4][:2] == good
        unchanged = {"delay", "drip"}
        assert (outcomes[3] == outcomes[2]) == (kind in unchanged)


def test_an_unknown_kind_of_fault() -> None:
    with pytest.raises(ValueError, match="gremlins"):
        Fault("gremlins")


def test_stopping_ends_hanging_requests() -> None:
    with DemoServer({"clients": rows(1)}) as server:
        server.fail("hang")
        pool = urllib3.HTTPConnectionPool(server.host, server.port, timeout=30, retries=False)
        connection = pool._get_conn()
        connection.request("GET", "/clients")
        wait_for(lambda: len(server.requests) == 1, what="the request")
    with pytest.raises(ConnectionError):
        connection.getresponse()
    connection.close()
    pool.close()


@pytest.mark.slow
def test_as_a_process_that_lives_and_ends_on_sigterm() -> None:
    with demo_process(
        "wellness", "--clients", "30", "--appointments", "60", "--change-every", "0.05", MOCK_API_KEY="the-demos-key"
    ) as (running, url):
        bearer = {"Authorization": "Bearer the-demos-key"}
        assert call(f"{url}/clients")[0] == 401
        status, first = call(f"{url}/appointments", **bearer)
        assert status == 200
        assert first["total"] >= 60
        before = call(f"{url}/_records/appointments")[1]
        wait_for(lambda: call(f"{url}/_records/appointments")[1] != before, what="a change")
        call(f"{url}/_faults", "POST", {"kind": "hang", "path": "/clients"})
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
