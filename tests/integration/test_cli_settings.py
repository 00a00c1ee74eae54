"""Syncs, schedules, tokens, organizations and migrations from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from getpass import getuser
from importlib.metadata import version

import psycopg
import pytest

from syncapp.commands import find_caller
from syncapp.embedded.postgres import PostgresServer
from tests.integration.cli import Shell, one_line


@pytest.fixture
def empty_dsn(postgres: PostgresServer) -> Iterator[str]:
    """A database that was never migrated."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE never_migrated")
    yield postgres.url_of("never_migrated")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("DROP DATABASE never_migrated WITH (FORCE)")


def test_syncs(shell: Shell) -> None:
    found = shell.json("syncs")
    assert [sync["name"] for sync in found["items"]] == ["clients", "appointments", "cliniko", "properties"]
    assert found["items"][0]["health"] == "warning"
    shell("sync", "clients")
    lines = shell("syncs").out.splitlines()
    assert lines[0].split()[:2] == ["SYNC", "HEALTH"]
    assert lines[1].split()[:4] == ["clients", "healthy", "wellness", "API"]


def test_a_sync_that_is_not_configured_says_so(shell: Shell) -> None:
    assert "not configured" in shell("syncs", MOCK_API_URL=None).out
    [clients, *_] = shell.json("syncs", MOCK_API_URL=None)["items"]
    assert (clients["configured"], clients["health"]) == (False, None)


def test_schedules(shell: Shell) -> None:
    for words in (["schedules"], ["schedules", "list"]):
        found = shell.json(*words)
        assert {one["name"]: one["cron"] for one in found["items"]} == {
            "clients": "0 */6 * * *",
            "appointments": "0 */2 * * *",
            "cliniko": None,
            "properties": None,
        }
        assert found["total"] == 4
        assert shell(*words).out.splitlines()[1].split()[:6] == ["clients", "0", "*/6", "*", "*", "*"]


def test_a_schedule_is_changed_and_stays_so(shell: Shell) -> None:
    changed = shell.json("schedules", "set", "clients", "--interval", "90m")
    assert (changed["interval"], changed["cron"]) == (5400.0, None)
    assert changed["next_run_at"] is not None
    assert "every 1 h 30 min" in shell("schedules").out
    cron = shell.json("schedules", "set", "clients", "--cron", "30 8 * * 1-5", "--timezone", "Europe/Berlin")
    assert (cron["cron"], cron["timezone"]) == ("30 8 * * 1-5", "Europe/Berlin")
    assert shell.json("schedules", "set", "clients", "--disable")["next_run_at"] is None
    assert shell.json("schedules")["items"][0]["enabled"] is False
    assert "disabled" in shell("syncs").out
    assert shell.json("schedules", "set", "clients", "--enable")["next_run_at"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope", "--enable"], "There is no sync nope"),
        (["clients", "--cron", "* *"], "cron: Must have five fields"),
        (["clients", "--interval", "1s"], "interval: Must be between 1m and 31d."),
        (["clients", "--interval", "1h", "--cron", "* * * * *"], "Give either cron or interval, not both."),
        (["clients", "--timezone", "Nowhere/At-all"], "timezone: Must be a time zone"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(shell: Shell, words: list[str], said: str) -> None:
    assert said in one_line(shell("schedules", "set", *words, code=1).err)
    assert said in shell.json("schedules", "set", *words, code=1)["details"]["message"]


def test_a_change_of_nothing_is_a_mistake(shell: Shell) -> None:
    assert "Say what to change" in shell("schedules", "set", "clients", code=2).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "No such command 'nope'."),
        (["--nope"], "No such option '--nope'"),
        (["runs", "--nope"], "No such option '--nope'"),
        (["runs", "--limit", "many"], "Invalid value for '--limit'"),
        (["run"], "Missing argument 'SYNC_ID'."),
        (["tokens", "create"], "Say for whom"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_mistake_in_the_words_is_a_document_too(shell: Shell, words: list[str], said: str, before: bool) -> None:
    printed = shell(*(["--json", *words] if before else [*words, "--json"]), code=2)
    assert said in printed.document["details"]["message"]
    assert printed.document["details"]["error_type"] == "validation_error"
    assert f"Error: {said}" in printed.err
    assert shell(*words, code=2).out == ""


def test_an_admins_token_is_all_of_standard_output(shell: Shell) -> None:
    printed = shell("tokens", "create", "--admin", "--name", "deploy")
    caller = find_caller(shell.database, printed.out.strip())
    assert caller is not None
    assert (caller.name, caller.role, caller.organization_id) == ("deploy", "admin", None)
    assert "it is not shown again" in printed.err
    assert printed.out.strip() not in shell("tokens").out


def test_a_members_token_is_bound_to_its_organization(shell: Shell) -> None:
    shell("orgs", "create", "Acme", "--id", "acme")
    made = shell.json("tokens", "create", "--organization", "acme", "--name", "theirs")
    assert (made["role"], made["organization_id"]) == ("member", "acme")
    caller = find_caller(shell.database, made["token"])
    assert caller is not None
    assert caller.organization_id == "acme"
    listed = shell.json("tokens", "list", "--organization", "acme")
    assert [token["id"] for token in listed["items"]] == [made["id"]]
    assert "token" not in listed["items"][0]


def test_a_revoked_token_is_good_for_nothing(shell: Shell) -> None:
    made = shell.json("tokens", "create", "--admin")
    for _ in range(2):
        assert shell.json("tokens", "revoke", made["id"])["id"] == made["id"]
    assert find_caller(shell.database, made["token"]) is None
    assert shell.json("tokens")["items"][0]["revoked_at"] is not None


def test_what_cannot_be_done_with_tokens_is_said(shell: Shell) -> None:
    assert shell("tokens").out == "There is no token yet: syncapp tokens create --admin\n"
    assert "Say for whom" in shell("tokens", "create", code=2).err
    assert "no organization nobody" in one_line(shell("tokens", "create", "--organization", "nobody", code=1).err)
    assert "no token tok_1" in one_line(shell("tokens", "revoke", "tok_1", code=1).err)


def test_organizations(shell: Shell) -> None:
    made = shell.json("orgs", "create", "Acme Ltd", "--id", "acme")
    assert (made["id"], made["name"], made["active"]) == ("acme", "Acme Ltd", True)
    made_up = shell("orgs", "create", "Another")
    [row] = shell.rows("SELECT id FROM organizations WHERE name = 'Another'")
    said = f"The organization {row['id']} was made; use that id from now on: --organization {row['id']}\n"
    assert made_up.out == said
    assert "--id" in made_up.err
    assert [one["name"] for one in shell.json("orgs")["items"]] == ["Default organization", "Acme Ltd", "Another"]
    assert "Acme Ltd" in shell("orgs", "list").out


def test_an_organization_is_renamed_deactivated_and_brought_back(shell: Shell) -> None:
    shell("orgs", "create", "Acme Ltd", "--id", "acme")
    assert shell.json("orgs", "rename", "acme", "Acme Inc")["name"] == "Acme Inc"
    assert shell("orgs", "deactivate", "acme").out == "The organization acme is not active any more\n"
    assert [one["active"] for one in shell.json("orgs")["items"]] == [True, False]
    assert shell.json("orgs", "activate", "acme") == shell.json("orgs")["items"][1] | {"active": True}
    assert shell("orgs", "rename", "acme", "Acme").out == "The organization acme is called Acme now\n"
    assert shell("orgs", "activate", "acme").out == "The organization acme is active\n"


def test_a_deactivated_organizations_runs_stop(shell: Shell) -> None:
    shell("orgs", "create", "Acme Ltd", "--id", "acme")
    shell("trigger", "clients", "--organization", "acme")
    assert "runs asked to stop: 1" in shell("orgs", "deactivate", "acme").out
    assert [row["status"] for row in shell.rows("SELECT status FROM sync_runs")] == ["cancelled"]
    refused = one_line(shell("trigger", "clients", "--organization", "acme", code=1).err)
    assert "no active organization acme" in refused


def test_what_cannot_be_done_with_organizations_is_said(shell: Shell) -> None:
    assert "no organization nobody" in one_line(shell("orgs", "rename", "nobody", "Somebody", code=1).err)
    assert "name: Must be 1 to 200" in one_line(shell("orgs", "rename", "default", "  ", code=1).err)
    assert "cannot be deactivated" in one_line(shell("orgs", "deactivate", "default", code=1).err)
    assert shell.json("orgs", "deactivate", "default", code=1)["details"]["error_code"] == "DEFAULT_ORGANIZATION"


def test_who_did_what_is_kept(shell: Shell) -> None:
    shell("orgs", "create", "Acme", "--id", "acme")
    shell("orgs", "rename", "acme", "Acme Inc")
    token = shell.json("tokens", "create", "--organization", "acme")
    shell("tokens", "revoke", token["id"])
    shell("schedules", "set", "clients", "--disable")
    rows = shell.rows("SELECT actor, action, organization_id, target, details::text FROM audit_log ORDER BY id")
    assert [(row["action"], row["organization_id"], row["target"]) for row in rows] == [
        ("organization.created", "acme", "acme"),
        ("organization.changed", "acme", "acme"),
        ("token.created", "acme", token["id"]),
        ("token.revoked", "acme", token["id"]),
        ("schedule.changed", None, "clients"),
    ]
    assert {row["actor"] for row in rows} == {f"cli:{getuser()}"}
    assert token["token"] not in str(rows)


def test_the_version(shell: Shell) -> None:
    assert shell("--version").out == f"syncapp {version('syncapp')}\n"
    assert shell("--json", "--version").document == {"version": version("syncapp")}


def test_what_cannot_be_an_organization_is_said(shell: Shell) -> None:
    assert "There is an organization default already" in one_line(
        shell("orgs", "create", "X", "--id", "default", code=1).err
    )
    assert "id: Must be 1 to 64 letters" in one_line(shell("orgs", "create", "X", "--id", "a b", code=1).err)
    assert "name: Must be 1 to 200" in one_line(shell("orgs", "create", " ", code=1).err)


def test_the_database_is_checked_and_migrated(shell: Shell, empty_dsn: str) -> None:
    line = one_line(shell("db", "check", code=1, DATABASE_URL=empty_dsn).err)
    assert "at revision none" in line
    assert "run `syncapp db upgrade`" in line
    assert shell.json("db", "check", code=1, DATABASE_URL=empty_dsn)["current"] is None
    assert "run `syncapp db upgrade`" in one_line(shell("runs", code=1, DATABASE_URL=empty_dsn).err)

    upgraded = shell.json("db", "upgrade", DATABASE_URL=empty_dsn)
    assert upgraded["before"] is None
    assert upgraded["current"] == upgraded["head"]
    assert "already at revision" in shell("db", "upgrade", DATABASE_URL=empty_dsn).out
    assert shell.json("db", "check", DATABASE_URL=empty_dsn)["current"] == upgraded["head"]
    assert shell("db", "check", DATABASE_URL=empty_dsn).out.startswith("The database is at revision")
    shell("db", "downgrade", "base", code=1, DATABASE_URL=empty_dsn)  # nobody said yes
    gone = shell.json("db", "downgrade", "base", "--yes", DATABASE_URL=empty_dsn)
    assert (gone["before"], gone["current"]) == (upgraded["head"], None)


def test_a_database_of_a_newer_version_is_left_alone(shell: Shell) -> None:
    shell.execute("UPDATE alembic_version SET version_num = 'of the future'")
    assert "at revision of the future" in one_line(shell("db", "check", code=1).err)
    assert "of the future" in one_line(shell("db", "upgrade", code=1).err)
