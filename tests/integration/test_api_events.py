"""GET /api/v1/runs/{sync_id}/events: what a client is told, and how the hub treats its clients."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from api.context import EXTENSION
from api.events.hub import Hub
from api.events.pieces import Piece
from syncapp.engine.events import add_event
from syncapp.errors import DatabaseUnavailable
from syncapp.queries import Place
from tests.integration.api import TIME, Api, check_error
from tests.sse import Event, read_events
from tests.waiting import wait_for

PATH = "/api/v1/runs/sync_x/events"


def add(api: Api, *kinds: str, sync_id: str = "sync_x") -> None:
    for kind in kinds:
        with api.database.connection() as connection:
            add_event(connection, sync_id, kind, {"note": "one\ntwo"})


def end(api: Api, status: str = "completed", sync_id: str = "sync_x") -> None:
    with api.database.connection() as connection:
        connection.execute("UPDATE sync_runs SET status = %s WHERE sync_id = %s", (status, sync_id))
        add_event(connection, sync_id, status, {})


def follow(api: Api, path: str = PATH, seen: object = None, **asked: Any) -> Iterator[Event]:
    """The events of a stream, each when it comes."""
    headers = {} if seen is None else {"Last-Event-ID": str(seen)}
    answer = api.get(path, headers=headers, **asked)
    assert answer.status_code == 200, answer.get_data()
    lines = (line for text in answer.iter_encoded() for line in text.splitlines(keepends=True))
    return read_events(lines)


def told(api: Api, seen: object = None) -> list[tuple[int, str]]:
    return [(event.id, event.kind) for event in follow(api, seen=seen)]


def streams(api: Api) -> set[Any]:
    found: set[Any] = api.app.extensions[EXTENSION].hub._streams
    return found


class TestAnswer:
    def test_an_ended_run_from_its_first_event_to_its_last(self, api: Api) -> None:
        api.add_run("sync_x", status="running", records_processed=30, records_total=50, current_operation="Reading")
        add(api, "started", "progress")
        end(api, "failed")
        answer = api.get(PATH)
        assert answer.mimetype == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["X-Request-ID"]
        body = answer.get_data()
        assert body.startswith(b"retry: 2000\n\nid: 1\nevent: started\ndata: {")
        events = list(read_events(body.splitlines(keepends=True)))
        assert [(event.id, event.kind) for event in events] == [(1, "started"), (2, "progress"), (3, "failed")]
        data = events[1].data
        event = data.pop("event")
        assert data == api.get("/api/v1/sync/progress/sync_x").get_json()
        assert TIME.fullmatch(event.pop("at"))
        assert event == {"seq": 2, "kind": "progress", "data": {"note": "one\ntwo"}}

    def test_events_come_as_they_happen_until_the_run_ends(self, api: Api) -> None:
        api.add_run("sync_x", status="running")
        add(api, "started")
        events = follow(api)
        assert next(events).kind == "started"
        add(api, "parked", "resumed")
        assert [next(events).kind, next(events).kind] == ["parked", "resumed"]
        end(api, "cancelled")
        last = next(events)
        assert (last.id, last.kind, last.data["status"]) == (4, "cancelled", "cancelled")
        assert list(events) == []

    def test_a_run_that_has_not_started(self, api: Api) -> None:
        api.add_run("sync_x", status="starting")
        answer = api.get(PATH)
        text = answer.iter_encoded()
        assert next(iter(text)) == b"retry: 2000\n\n"
        end(api)
        assert b"event: completed" in b"".join(text)

    def test_more_than_is_read_at_once_comes_in_order(self, api: Api) -> None:
        api.add_run("sync_x", status="running", event_seq=230)
        rows = "SELECT 'sync_x', n, 'progress' FROM generate_series(1, 230) n"
        api.execute(f"INSERT INTO run_events (sync_id, seq, kind) {rows}")
        end(api)
        assert [event.id for event in follow(api)] == list(range(1, 232))

    @pytest.mark.parametrize("seen", ["0", "1", "2", " 2 "])
    def test_what_was_seen_is_not_told_again(self, api: Api, seen: str) -> None:
        api.add_run("sync_x", status="running")
        add(api, "started", "progress")
        end(api)
        everything = [(1, "started"), (2, "progress"), (3, "completed")]
        assert told(api, seen) == everything[int(seen) :]

    @pytest.mark.parametrize("seen", [3, 4, 10**30])
    def test_nothing_can_come_any_more(self, api: Api, seen: int) -> None:
        api.add_run("sync_x", status="running")
        add(api, "started", "progress")
        end(api)
        answer = api.get(PATH, headers={"Last-Event-ID": str(seen)})
        assert (answer.status_code, answer.get_data()) == (204, b"")

    def test_a_run_that_ended_without_a_word(self, api: Api) -> None:
        api.add_run("sync_x", status="completed")
        assert api.get(PATH).status_code == 204

    @pytest.mark.parametrize("seen", [2, 7, 10**30])
    def test_beyond_the_newest_event_of_a_live_run(self, api: Api, seen: int) -> None:
        api.add_run("sync_x", status="running")
        add(api, "started", "progress")
        events = follow(api, seen=seen)
        add(api, "progress")
        end(api)
        assert [event.id for event in events] == [3, 4]

    def test_a_run_that_is_deleted_meanwhile(self, api: Api) -> None:
        api.add_run("sync_x", status="running")
        add(api, "started")
        events = follow(api)
        assert next(events).id == 1
        api.execute("DELETE FROM sync_runs")
        assert list(events) == []

    def test_only_the_head_is_asked_for(self, api: Api) -> None:
        api.add_run("sync_x", status="running")
        answer = api.call("HEAD", PATH)
        assert (answer.status_code, answer.mimetype, answer.get_data()) == (200, "text/event-stream", b"")
        assert streams(api) == set()


class TestRefused:
    @pytest.mark.parametrize("seen", ["x", "", "-1", "1.5", "1e1", "9" * 5000, "0x10", "1, 2", "\xff"])
    def test_a_last_event_that_is_no_number(self, api: Api, seen: str) -> None:
        api.add_run("sync_x", status="running")
        details = check_error(api.get(PATH, headers={"Last-Event-ID": seen}), 422, "validation_error")
        assert set(details["fields"]) == {"Last-Event-ID"}

    def test_foreign_and_unknown_runs_are_alike(self, api: Api) -> None:
        api.add_organization("acme")
        api.add_run("sync_x", status="running")
        foreign = api.get(PATH, token=api.make_token("acme"))
        assert check_error(foreign, 404, "not_found")["message"] == "There is no run sync_x"
        check_error(api.get("/api/v1/runs/sync_y/events"), 404, "not_found")
        check_error(api.get(PATH, headers={"X-Organization-ID": "acme"}), 404, "not_found")

    def test_a_member_follows_its_own(self, api: Api) -> None:
        api.add_run("sync_x", status="running")
        end(api)
        token = api.make_token("default")
        assert [event.kind for event in follow(api, token=token)] == ["completed"]

    def test_more_streams_than_a_process_serves(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.events.hub.MOST", 1)
        api.add_run("sync_x", status="running")
        add(api, "started")
        first = api.get(PATH)
        assert b"retry" in next(iter(first.iter_encoded()))
        details = check_error(api.get(PATH), 429, "rate_limit_exceeded")
        assert details["error_code"] == "TOO_MANY_STREAMS"
        first.close()
        wait_for(lambda: not streams(api), what="a place that is free again")
        end(api)
        assert told(api) == [(1, "started"), (2, "completed")]


class Source:
    """What a hub asks, in place of PostgreSQL: text for each place, or an outage."""

    def __init__(self, text: bytes = b"", steps: int = 0) -> None:
        self.text, self.steps = text, steps
        self.asked: list[set[Place]] = []
        self.away = False

    def read(self, places: Collection[Place]) -> Mapping[Place, Piece]:
        self.asked.append(set(places))
        if self.away:
            raise DatabaseUnavailable("away")
        return {place: self._piece(place) for place in places}

    def _piece(self, place: Place) -> Piece:
        if place.seen >= self.steps:
            return Piece(b"", place, False, False)
        return Piece(self.text, place._replace(seen=place.seen + 1), True, False)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.events.hub.TURN_SECONDS", 0.01)


def join(hub: Hub, name: str = "sync_x") -> socket.socket:
    """A client of the hub."""
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    hub.follow(theirs, Place(name, 0))
    return ours


def read_until(client: socket.socket, wanted: bytes) -> bytes:
    text = b""
    while wanted not in text:
        received = client.recv(65_536)
        assert received, f"{wanted!r} did not come, only {text[-200:]!r}"
        text += received
    return text


@pytest.mark.usefixtures("turns")
class TestHub:
    def test_one_question_a_turn_for_all(self) -> None:
        source = Source()
        hub = Hub(source.read)
        clients = [join(hub, f"sync_{number % 3}") for number in range(12)]
        everybody = {Place(f"sync_{number}", 0) for number in range(3)}
        wait_for(lambda: everybody in source.asked)
        for client in clients:
            client.close()
        wait_for(lambda: not hub._streams)

    def test_nobody_is_asked_while_nobody_follows(self) -> None:
        source = Source()
        hub = Hub(source.read)
        assert source.asked == []
        join(hub).close()
        wait_for(lambda: not hub._streams and not hub._takes_turns)
        before = len(source.asked)
        with join(hub) as client:
            read_until(client, b"retry")
            wait_for(lambda: len(source.asked) > before)

    def test_an_outage_leaves_the_streams_open(self) -> None:
        source = Source(b"event\n\n", steps=1)
        source.away = True
        hub = Hub(source.read)
        with join(hub) as client:
            wait_for(lambda: len(source.asked) > 3)
            assert len(hub._streams) == 1
            source.away = False
            read_until(client, b"event")

    def test_a_quiet_stream_is_kept_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.events.hub.KEEP_ALIVE_SECONDS", 0.05)
        with join(Hub(Source().read)) as client:
            assert read_until(client, b":\n\n:\n\n").startswith(b"retry: 2000\n\n")

    def test_none_lives_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.events.hub.LONGEST_SECONDS", 0.05)
        with join(Hub(Source(b"event\n\n", steps=1).read)) as client:
            assert b"".join(iter(lambda: client.recv(65_536), b"")).endswith(b"event\n\n")

    def test_who_reads_slowly_costs_one_piece_and_misses_nothing(self) -> None:
        piece, steps = b"x" * 50_000, 200
        hub = Hub(Source(piece, steps).read)
        with join(hub) as client:
            received = len(read_until(client, b"retry: 2000\n\n"))
            (stream,) = hub._streams
            wait_for(lambda: not stream.is_ready, what="a client that is full")
            assert stream.place.seen < steps
            assert stream._transport.get_write_buffer_size() <= len(piece)
            while received < len(piece) * steps:
                received += len(client.recv(65_536))

    def test_who_does_not_read_at_all_is_let_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.events.hub.STUCK_SECONDS", 0.1)
        hub = Hub(Source(b"x" * 50_000, steps=1_000_000).read)
        with join(hub) as client:
            read_until(client, b"retry")
            wait_for(lambda: not hub._streams, what="the end of a client that does not read")

    def test_who_has_gone_is_forgotten(self) -> None:
        hub = Hub(Source(b"x" * 50_000, steps=1_000_000).read)
        clients = [join(hub) for _ in range(5)]
        wait_for(lambda: len(hub._streams) == 5)
        for client in clients:
            client.close()
        wait_for(lambda: not hub._streams)
