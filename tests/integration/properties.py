"""Properties of a stand-in for Cupid, over the API's test client, with a worker in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from syncapp.demo.cupid import API_KEY, cupid_server
from syncapp.demo.exchange import Request
from syncapp.demo.server import DemoServer
from syncapp.engine import Runtime, execute
from syncapp.registry import find_sync
from tests.integration.api import Api, open_api
from tests.integration.cliniko import NoLimit

PATH = "/api/v1/admin"


@dataclass
class Catalogue:
    """The API, the stand-in, and a worker in this process. `ids` are those that are followed."""

    api: Api
    upstream: DemoServer
    ids: list[int]
    settings: dict[str, Any]
    addresses: tuple[str, str]

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.api.settings, self.api.database, find_sync, "test", rate_limit=NoLimit())

    @contextmanager
    def following(self, ids: list[int], **settings: Any) -> Iterator[Catalogue]:
        """The same upstream and database, with another list or other settings."""
        wanted = self.settings | {"cupid_property_ids": tuple(ids)} | settings
        with open_api(*self.addresses, **wanted) as api:
            yield Catalogue(api, self.upstream, ids, wanted, self.addresses)

    def start(self, **asked: Any) -> str:
        answer = self.api.post("/api/v1/runs", json={"sync": "properties"} | asked)
        assert answer.status_code == 202, answer.get_json()
        return str(answer.get_json()["sync_id"])

    def sync(self, **asked: Any) -> dict[str, Any]:
        """A run of its own, worked on here; how it ended."""
        return self.work(self.start(**asked))

    def work(self, sync_id: str) -> dict[str, Any]:
        execute(sync_id, self.runtime)
        return self.run(sync_id)

    def undo(self, sync_id: str) -> dict[str, Any]:
        answer = self.api.post(f"/api/v1/runs/{sync_id}/undo")
        assert answer.status_code == 202, answer.get_json()
        return self.work(answer.get_json()["sync_id"])

    def run(self, sync_id: str) -> dict[str, Any]:
        return self.api.query("SELECT * FROM sync_runs WHERE sync_id = %s", sync_id)[0]

    def rows(self) -> dict[int, dict[str, Any]]:
        return {row["property_id"]: row for row in self.api.query("SELECT * FROM properties")}

    def property(self, property_id: int) -> dict[str, Any]:
        """As the stand-in holds it: what a test changes here is served from then on."""
        return next(row for row in self.upstream.records["properties"] if row["hotel_id"] == property_id)

    def reviews(self, property_id: int) -> list[dict[str, Any]]:
        return next(row["reviews"] for row in self.upstream.records["reviews"] if row["hotel_id"] == property_id)

    def changes(self, sync_id: str) -> list[dict[str, Any]]:
        return self.api.query("SELECT * FROM run_changes WHERE sync_id = %s ORDER BY id", sync_id)

    def failures(self, sync_id: str) -> dict[str, tuple[str, str]]:
        found = self.api.query("SELECT * FROM dead_letters WHERE sync_id = %s ORDER BY id", sync_id)
        return {one["external_id"]: (one["error_type"], one["message"]) for one in found}

    def asked(self) -> list[Request]:
        """What was asked of the stand-in since the last time."""
        found = list(self.upstream.requests)
        self.upstream.requests.clear()
        return found


def counts(run: dict[str, Any]) -> tuple[int, ...]:
    names = ("processed", "created", "updated", "unchanged", "deleted", "failed")
    return tuple(run[f"records_{name}"] for name in names)


@contextmanager
def open_catalogue(
    database_url: str, redis_url: str, properties: int = 12, *, etags: bool = True, **settings: Any
) -> Iterator[Catalogue]:
    with cupid_server(properties, etags=etags) as upstream:
        ids = sorted(row["hotel_id"] for row in upstream.records["properties"])
        wanted = {
            "cupid_api_url": f"{upstream.url}/v3.0",
            "cupid_api_key": API_KEY,
            "cupid_property_ids": tuple(ids),
            "sync_retry_attempts": 0,
            "sync_batch_size": 5,
        }
        with open_api(database_url, redis_url, **wanted | settings) as api:
            yield Catalogue(api, upstream, ids, wanted | settings, (database_url, redis_url))
