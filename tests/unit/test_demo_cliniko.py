"""The stand-in for Cliniko, over HTTP as a client meets it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from syncapp.demo.cliniko_records import make_records, state_of
from syncapp.demo.cliniko_shapes import RESOURCES
from tests.cliniko_demo import KEY, NOW, Client, cliniko

PATIENTS, VISITS = 120, 300
RECORDS = make_records(1, patients=PATIENTS, appointments=VISITS, now=NOW - timedelta(hours=1))


@pytest.fixture(scope="module")
def reader() -> Iterator[Client]:
    """For tests that change nothing."""
    with cliniko({KEY: RECORDS}) as client:
        yield client


@pytest.fixture
def client() -> Iterator[Client]:
    with cliniko({KEY: RECORDS}) as client:
        yield client


def live(*marks: str, resource: str = "patients") -> list[str]:
    return [row["id"] for row in RECORDS[resource] if not any(row[mark] for mark in marks)]


def test_the_same_seed_makes_the_same_records_and_the_ids_depend_on_none() -> None:
    first, again, other = (make_records(seed, patients=20, appointments=50, now=NOW) for seed in (7, 7, 8))
    assert first == again != other
    assert [row["id"] for row in first["patients"]] == [row["id"] for row in other["patients"]]
    assert max(int(row["id"]) for row in first["individual_appointments"]) > 10**18
    assert {state_of(number) for number in range(1, PATIENTS)} == {"live", "archived", "merged", "deleted"}


@pytest.mark.parametrize(
    ("resource", "count"),
    [
        ("patients", 55),
        ("individual_appointments", 34),
        ("appointment_types", 24),
        ("practitioners", 19),
        ("businesses", 30),
    ],
)
def test_every_field_of_the_vendor_and_references_as_links_alone(reader: Client, resource: str, count: int) -> None:
    for row in reader.get(resource, per_page=100)[resource]:
        assert len(row) == count
        assert row["links"]["self"] == f"{reader.upstream.url}/v1/{resource}/{row['id']}"
        assert not any(f"{name}_id" in row for name in RESOURCES[resource].targets)
        assert row["created_at"].endswith("Z")


def test_an_appointment_names_its_patient_by_a_link(reader: Client) -> None:
    visit = RECORDS["individual_appointments"][0]
    shown = reader.get(f"individual_appointments/{visit['id']}")
    assert shown["patient"] == {"links": {"self": f"{reader.upstream.url}/v1/patients/{visit['patient_id']}"}}
    assert (shown["patient_case"], shown["repeats"], shown["archived_at"]) == (None, None, None)
    assert reader.get("user")["email"] == "robin@example.com"


def test_pages_of_fifty_and_of_a_hundred_at_most(reader: Client) -> None:
    wanted = live("archived_at", "deleted_at")
    first = reader.get("patients")
    assert (len(first["patients"]), first["total_entries"], set(first["links"])) == (50, len(wanted), {"self", "next"})
    second = reader.get(first["links"]["next"])
    assert set(second["links"]) == {"self", "previous", "next"}
    last = reader.get("patients", page=3)
    assert set(last["links"]) == {"self", "previous"}
    assert [row["id"] for page in (first, second, last) for row in page["patients"]] == wanted
    capped = reader.get("individual_appointments", "id:>0", per_page=500)
    assert len(capped["individual_appointments"]) == 100
    following = parse_qsl(urlsplit(capped["links"]["next"]).query)
    assert following == [("q[]", "id:>0"), ("per_page", "100"), ("page", "2")]
    assert reader.get("patients", page=99)["patients"] == []


@pytest.mark.parametrize("key", ["a-key-of-au", KEY])
def test_a_key_with_and_without_its_shard(reader: Client, key: str) -> None:
    assert reader.call("patients", key=key).status == 200


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (401, {"Authorization": None}),
        (401, {"Authorization": "Bearer " + KEY}),
        (401, {"Authorization": "Basic " + base64.b64encode(f"{KEY}:secret".encode()).decode()}),
        (401, {"Authorization": "Basic " + base64.b64encode(b"a-key-of-au-uk1:").decode()}),
        (401, {"Authorization": "Basic ?"}),
        (403, {"User-Agent": "python-urllib3/2.8"}),
        (403, {"User-Agent": "(ops@example.com)"}),
        (403, {"User-Agent": "syncapp (nobody)"}),
        (406, {"Accept": "*/*"}),
        (406, {"Accept": None}),
    ],
)
def test_headers_that_are_wrong(reader: Client, status: int, sent: dict[str, str | None]) -> None:
    answer = reader.call("patients", headers=sent)
    assert (answer.status, list(orjson.loads(answer.data))) == (status, ["message"])


def test_other_paths_and_other_methods(reader: Client) -> None:
    for path in ("nothing", "patients/5", "patients/1/appointments", "practitioners/inactive/1", "user/1"):
        assert reader.call(path).status == 404
    assert reader.call(reader.upstream.url + "/patients").status == 404
    assert reader.call("patients", method="POST").status == 405
    assert reader.call("patients/1", method="DELETE").status == 405


def test_marks_hide_and_filters_on_them_show(reader: Client) -> None:
    assert reader.ids("patients") == live("archived_at", "deleted_at")
    assert reader.ids("patients", "archived_at:*") == live("deleted_at")
    gone = reader.ids("patients", "archived_at:?")
    assert len(gone) == len(live("deleted_at")) - len(live("archived_at", "deleted_at"))
    assert reader.ids("patients", "archived_at:!?") == live("archived_at", "deleted_at")
    name = "individual_appointments"
    assert reader.ids(name) == live("archived_at", "deleted_at", "cancelled_at", resource=name)
    assert reader.ids(name, "cancelled_at:*") == live("archived_at", "deleted_at", resource=name)
    assert len(reader.ids(name, "cancelled_at:*", "archived_at:*", "deleted_at:*")) == VISITS
    assert (len(reader.ids("appointment_types")), len(reader.ids("appointment_types", "archived_at:*"))) == (5, 6)
    assert (len(reader.ids("businesses")), len(reader.ids("businesses", "archived_at:*", "deleted_at:*"))) == (2, 4)


def test_one_record_is_hidden_alike(client: Client) -> None:
    account = client.upstream.account
    merged = next(row["id"] for row in RECORDS["patients"] if row["merged_at"])
    assert client.call(f"patients/{merged}").status == 404
    shown = client.get(f"patients/{merged}", "archived_at:?")
    assert shown["merged_at"] == shown["archived_at"]
    assert "/v1/patients/" in shown["merged_with_patient"]["links"]["self"]
    account.cancel("1", 30, "ill")
    assert client.call("individual_appointments/1").status == 404
    shown = client.get("individual_appointments/1", "cancelled_at:*")
    assert (shown["cancellation_reason"], shown["cancellation_reason_description"]) == (30, "Sick")
    account.delete("patients", "1")
    assert client.call("patients/1", "archived_at:*").status == 404
    assert client.call("patients/2", "first_name:=x").status == 400


def test_practitioners_are_active_or_inactive(client: Client) -> None:
    active, inactive = client.ids("practitioners"), client.ids("practitioners/inactive")
    assert (len(active), len(inactive)) == (6, 2)
    client.upstream.account.change("practitioners", active[0], active=False)
    assert client.ids("practitioners/inactive") == [active[0], *inactive]


@pytest.fixture(scope="module")
def small(reader: Client) -> Iterator[str]:
    """The key of an account with three patients."""
    account = reader.upstream.api.add("small", {})
    born = {"1": "1985-05-30", "2": "2001-06-01", "3": "1990-05-02"}
    names = {"1": ("Brian", "Ray"), "2": ("Ann", "Johnson"), "3": ("Sabrina", "Ray")}
    for id, (first, last) in names.items():
        account.add("patients", id=id, first_name=first, last_name=last, date_of_birth=born[id])
        account.change("patients", id, updated_at=f"2026-01-0{id}T00:00:00Z")
    account.change("patients", "1", email="brian@example.com", updated_at="2026-01-01T00:00:00Z")
    yield "small"
    reader.upstream.api.revoke("small")


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (["id:=1,3"], "13"),
        (["id:!=1", "id:<3"], "2"),
        (["id:>1", "id:<=3"], "23"),
        (["first_name:=Brian"], "1"),
        (["first_name:!=Brian"], "23"),
        (["first_name:~bri"], "13"),
        (["last_name:~~j%son"], "2"),
        (["email:?"], "1"),
        (["email:!?"], "23"),
        (["date_of_birth:=****-05-**"], "13"),
        (["date_of_birth:>=1990-05-02", "date_of_birth:<2000-01-01"], "3"),
        (["updated_at:>2026-01-01T00:00:00Z"], "23"),
        (["updated_at:>=2026-01-01T00:00:00Z", "updated_at:<2026-01-03T00:00:00Z"], "12"),
        (["updated_at:>2026-01-01T23:59:59.5Z", "updated_at:<=2026-01-02T00:00:00Z"], "2"),
    ],
)
def test_filters(reader: Client, small: str, q: list[str], expected: str) -> None:
    assert "".join(reader.ids("patients", *q, key=small)) == expected
    if len(q) == 1:
        assert "".join(reader.ids("patients", q=q[0], key=small)) == expected


def test_filters_by_reference_flag_and_list(reader: Client) -> None:
    visit = RECORDS["individual_appointments"][0]
    found = reader.ids("individual_appointments", f"patient_id:={visit['patient_id']}")
    assert visit["id"] in found
    assert len(reader.ids("appointment_types", "show_in_online_bookings:=true")) == 5
    assert len(reader.ids("appointment_types", "category:=Physiotherapy")) == 2
    assert reader.ids("appointment_types", "appointment_confirmation_template_ids:~11") == ["1"]


@pytest.mark.parametrize(
    ("resource", "q"),
    [
        ("patients", "city:=Hobart"),
        ("patients", "deleted_at:*"),
        ("patients", "updated_at:=2026-01-01T00:00:00Z"),
        ("patients", "updated_at:>2026-01-01"),
        ("patients", "updated_at:>2026-13-01T00:00:00Z"),
        ("patients", "updated_at:>2026-01-01T00:00:00+00:00"),
        ("patients", "id:=one"),
        ("patients", "first_name:>A"),
        ("patients", "nonsense"),
        ("practitioners", "archived_at:*"),
        ("appointment_types", "show_in_online_bookings:=perhaps"),
    ],
)
def test_filters_that_there_are_not(reader: Client, resource: str, q: str) -> None:
    answer = reader.call(resource, q)
    assert (answer.status, list(orjson.loads(answer.data))) == (400, ["message"])


def test_sorted_as_asked(client: Client) -> None:
    rows = client.get("patients", sort="last_name,first_name:desc", per_page=100)["patients"]
    names = [row["last_name"] for row in rows]
    assert names == sorted(names)
    client.upstream.account.change("patients", "2")
    assert client.ids("patients", sort="updated_at:desc")[0] == "2"
    assert client.ids("patients", sort="updated_at", order="desc") == client.ids("patients", sort="updated_at:desc")
    assert client.call("patients", sort="city").status == 400
