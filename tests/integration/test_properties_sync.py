"""Properties from a stand-in for Cupid: what is created, what is left alone, what is changed and how it is told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.properties import Catalogue, counts, open_catalogue
from tests.waiting import wait_for

WRITES = """
SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = 'properties'"""


@pytest.fixture
def catalogue(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url) as found:
        yield found


@pytest.fixture
def without_etags(database_url: str, redis_url: str) -> Iterator[Catalogue]:
    with open_catalogue(database_url, redis_url, etags=False) as found:
        yield found


def in_other_clothes(value: Any, chosen: random.Random, name: str = "") -> Any:
    """The same with members in another order, whole numbers as floats, and lists shuffled whose order means nothing."""
    if isinstance(value, dict):
        names = chosen.sample(list(value), len(value))
        return {name: in_other_clothes(value[name], chosen, name) for name in names}
    if isinstance(value, list):
        inner = [in_other_clothes(one, chosen) for one in value]
        return inner if name == "instructions" else chosen.sample(inner, len(inner))
    return float(value) if type(value) is int and abs(value) < 2**53 else value


def test_a_row_has_what_the_source_has(catalogue: Catalogue) -> None:
    run = catalogue.sync()
    assert (run["status"], counts(run)) == ("completed", (12, 12, 0, 0, 0, 0))
    one = catalogue.property(catalogue.ids[0])
    row = catalogue.rows()[catalogue.ids[0]]
    plain = ("hotel_name", "hotel_type", "chain_id", "cupid_id", "stars", "phone", "child_allowed", "parking")
    assert {name: row[name] for name in plain} == {name: one[name] if one[name] != "" else None for name in plain}
    assert (float(row["latitude"]), float(row["rating"])) == (one["latitude"], one["rating"])
    assert {room["id"]: room["max_adults"] for room in row["rooms"]} == {
        room["id"]: room["max_adults"] for room in one["rooms"]
    }
    assert len(row["photos"]) == len(one["photos"])
    assert len(row["reviews"]) == len(catalogue.reviews(catalogue.ids[0]))
    assert row["translations"].keys() == {"fr", "es"}
    assert "stars" not in row["translations"]["fr"]
    assert row["translations"]["fr"]["description"] != row["description"]
    assert (row["data_version"], row["sync_status"], row["deleted_at"], row["extra"]) == (1, "synced", None, None)
    assert row["last_synced"] == row["last_synced_at"] is not None
    assert row["last_updated"] is not None


def test_reviews_and_translations_are_rows_of_views(catalogue: Catalogue) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    (found,) = catalogue.api.query("SELECT count(*) AS n FROM property_reviews WHERE property_id = %s", first)
    assert found["n"] == len(catalogue.reviews(first))
    shown = catalogue.api.query("SELECT * FROM property_translations WHERE property_id = %s ORDER BY language", first)
    assert [row["language"] for row in shown] == ["es", "fr"]
    assert all(row["description"] and row["hotel_name"] for row in shown)


@pytest.mark.parametrize("etags", [True, False])
def test_nothing_is_written_where_nothing_has_changed(database_url: str, redis_url: str, etags: bool) -> None:
    with open_catalogue(database_url, redis_url, etags=etags) as catalogue:
        catalogue.sync()
        before = catalogue.rows()
        wait_for(lambda: catalogue.api.query(WRITES)[0]["n_tup_ins"] == 12)
        catalogue.asked()
        run = catalogue.sync()
        assert (run["status"], counts(run)) == ("completed", (12, 0, 0, 12, 0, 0))
        assert catalogue.rows() == before
        wait_for(lambda: catalogue.api.query("SELECT pg_stat_force_next_flush() IS NULL AS done"))
        assert catalogue.api.query(WRITES)[0] == {"n_tup_ins": 12, "n_tup_upd": 0, "n_tup_del": 0}
        asked = catalogue.asked()
        assert len(asked) == 4 * 12
        assert all(("if-none-match" in request.headers) == etags for request in asked)


def test_other_clothes_are_no_change(without_etags: Catalogue) -> None:
    catalogue, chosen = without_etags, random.Random(7)
    catalogue.sync()
    before = catalogue.rows()
    with catalogue.upstream.lock:
        for name, rows in catalogue.upstream.records.items():
            catalogue.upstream.records[name] = [in_other_clothes(row, chosen) for row in rows]
        for row in catalogue.upstream.records["properties"]:
            row["hotel_id"] = int(row["hotel_id"])
            row["fax"], row["group_room_min"] = row.get("fax") or None, row.get("group_room_min") or ""
        for row in catalogue.upstream.records["reviews"]:
            row["hotel_id"] = int(row["hotel_id"])
    run = catalogue.sync()
    assert counts(run) == (12, 0, 0, 12, 0, 0)
    assert catalogue.rows() == before


@pytest.mark.parametrize("etags", [True, False])
def test_exactly_what_changed_is_updated_and_told(database_url: str, redis_url: str, etags: bool) -> None:
    with open_catalogue(database_url, redis_url, etags=etags) as catalogue:
        catalogue.sync()
        first, second, third = catalogue.ids[1], catalogue.ids[5], catalogue.ids[11]
        stars = catalogue.property(first)["stars"]
        room = catalogue.property(second)["rooms"][2]
        adults, city = room["max_adults"], catalogue.property(third)["address"]["city"]
        catalogue.property(first)["stars"] = stars + 1
        room["max_adults"] = adults + 1
        catalogue.property(third)["address"]["city"] = "Elsewhere"
        run = catalogue.sync()
        assert counts(run) == (12, 0, 3, 9, 0, 0)
        told = [
            (one["external_id"], one["operation"], one["before"], one["after"])
            for one in catalogue.changes(run["sync_id"])
        ]
        field = f"rooms[{room['id']}].max_adults"
        assert told == [
            (str(first), "updated", {"stars": stars}, {"stars": stars + 1}),
            (str(second), "updated", {field: adults}, {field: adults + 1}),
            (str(third), "updated", {"address.city": city}, {"address.city": "Elsewhere"}),
        ]
        versions = {key: row["data_version"] for key, row in catalogue.rows().items()}
        assert versions == dict.fromkeys(catalogue.ids, 1) | dict.fromkeys((first, second, third), 2)
        assert catalogue.rows()[first]["last_updated"] > catalogue.rows()[catalogue.ids[0]]["last_updated"]


def test_a_new_review_and_another_translation_are_changes_of_the_property(catalogue: Catalogue) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    review = {
        "review_id": 99_000_001,
        "average_score": 9,
        "name": "Ann",
        "headline": "Good",
        "date": "2025-06-30 10:00:00",
    }
    catalogue.reviews(first).insert(0, review)
    run = catalogue.sync()
    (change,) = catalogue.changes(run["sync_id"])
    assert (change["before"], change["after"]) == (
        {"reviews[99000001]": None},
        {"reviews[99000001]": review},
    )
    assert catalogue.rows()[first]["data_version"] == 2


def test_only_what_changed_is_read_whole(catalogue: Catalogue) -> None:
    catalogue.sync()
    catalogue.asked()
    catalogue.property(catalogue.ids[0])["stars"] = 1
    catalogue.sync()
    paths = [request.path for request in catalogue.asked()]
    assert len(paths) == 4 * 12  # the property had changed: the rest of it was asked for without a condition at once
    catalogue.reviews(catalogue.ids[1]).pop()
    catalogue.sync()
    paths = [request.path for request in catalogue.asked()]
    assert len(paths) == 4 * 12 + 3  # that the reviews had changed was seen last: the other three once more
    whole = catalogue.sync(full_refresh=True)
    assert counts(whole) == (12, 0, 0, 12, 0, 0)
    assert not any("if-none-match" in request.headers for request in catalogue.asked())


def test_a_row_that_somebody_changed_is_put_right(catalogue: Catalogue) -> None:
    catalogue.sync()
    first = catalogue.ids[0]
    name = catalogue.rows()[first]["hotel_name"]
    catalogue.api.query("UPDATE properties SET hotel_name = 'Mine' WHERE property_id = %s RETURNING 1", first)
    run = catalogue.sync()
    assert counts(run) == (12, 0, 1, 11, 0, 0)
    row = catalogue.rows()[first]
    assert (row["hotel_name"], row["data_version"]) == (name, 2)


def test_a_property_that_is_followed_no_more_leaves_softly(catalogue: Catalogue) -> None:
    catalogue.sync()
    with catalogue.following(catalogue.ids[1:]) as shorter:
        shorter.asked()
        run = shorter.sync()
        assert counts(run) == (11, 0, 0, 11, 1, 0)
        assert shorter.rows()[catalogue.ids[0]]["deleted_at"] is not None
        assert len(shorter.asked()) == 4 * 11  # nothing is read twice: ids do not move from page to page
    run = catalogue.sync()
    assert counts(run) == (12, 1, 0, 11, 0, 0)
    row = catalogue.rows()[catalogue.ids[0]]
    assert (row["deleted_at"], row["data_version"]) == (None, 1)


def test_a_list_that_shrinks_too_far_deletes_nothing(database_url: str, redis_url: str) -> None:
    with open_catalogue(database_url, redis_url, 30) as catalogue:
        catalogue.sync()
        with catalogue.following(catalogue.ids[:3]) as shorter:
            run = shorter.sync()
            assert (run["status"], run["error_type"]) == ("failed", "mass_delete_refused")
            assert not [row for row in shorter.rows().values() if row["deleted_at"]]


def test_languages_can_be_changed(catalogue: Catalogue) -> None:
    catalogue.sync()
    with catalogue.following(catalogue.ids, cupid_languages=("fr",)) as french:
        run = french.sync()
        assert counts(run) == (12, 0, 12, 0, 0, 0)
        assert french.rows()[catalogue.ids[0]]["translations"].keys() == {"fr"}
    with catalogue.following(catalogue.ids, cupid_languages=()) as none:
        none.sync()
        assert none.rows()[catalogue.ids[0]]["translations"] is None
