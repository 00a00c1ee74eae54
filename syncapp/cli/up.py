"""`syncapp up`: everything on one machine, in the foreground, with our own databases where none are named."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import click
import redis

from config.settings import Settings, SettingsError, load_settings
from syncapp.cli import programs
from syncapp.cli.checks import QUEUES
from syncapp.cli.context import json_option
from syncapp.cli.demo import PRACTICE, PRACTICE_KEY, admit_practice, start_demos
from syncapp.cli.first_sync import Api, ApiAnswer, FirstSync, row_counts
from syncapp.cli.output import JSON_LINES, json_asked
from syncapp.db import Database
from syncapp.embedded.console import Console
from syncapp.embedded.home import Home, HomeError, is_free
from syncapp.embedded.postgres import PostgresServer
from syncapp.embedded.running import record
from syncapp.embedded.server import Command, Server, ServerFailed, command_line
from syncapp.embedded.supervisor import Ended, Program, Stage, Supervisor
from syncapp.embedded.valkey import ValkeyServer
from syncapp.errors import SyncError
from syncapp.migrations.command import upgrade
from syncapp.queries import count_cliniko_rows, count_rows, readiness
from syncapp.scope import Scope

LOOPBACK = "127.0.0.1"
PREVIOUS = 20.0  # seconds the processes of an `up` that was killed have to end
START = 90.0  # seconds a process has to become ready; much more than it needs, for slow machines
FIRST_SYNC = 30.0  # after that it goes on unseen: an API of millions of records, or one that is slow to say no
OTHERS = 15.0  # what nobody needs to work is not waited for longer


@dataclass
class Stack:
    """What runs, and the environment its processes share."""

    settings: Settings
    home: Home
    supervisor: Supervisor
    env: dict[str, str]
    flower_port: int
    began: float = field(default_factory=time.monotonic)

    def start(self, name: str, argv: tuple[str, ...], *more: str, pass_fds: tuple[int, ...] = ()) -> None:
        self.supervisor.start(Program(name, lambda: programs.module(argv, self.env, *more, pass_fds=pass_fds)))

    def serve(self, server: Server, stage: Stage) -> str:
        """Starts PostgreSQL or Valkey and waits for it. Returns its address. Raises ServerFailed."""
        server.end_orphan()
        self.supervisor.say(f"{server.name} starts on port {server.port}, its data in {server.data}")
        server.command()
        self.supervisor.start(Program(server.name, server.command, stage))
        if not self.supervisor.wait(server.is_ready, START):
            raise ServerFailed(f"{server.name} was not ready within {START:g} s")
        return server.url


@click.command("up")
@json_option
@click.pass_context
def up(context: click.Context) -> None:
    """Run everything in the foreground: databases, API, workers, beat, Flower, the demo.

    PostgreSQL and Valkey are our own unless DATABASE_URL and REDIS_URL name some; the demo's upstream runs unless
    MOCK_API_URL names one. Data lies in SYNCAPP_HOME (.syncapp). With --json every line is a document; the one that
    ends the start holds the addresses and the admin token.
    """
    context.meta[JSON_LINES] = True
    settings = load_settings()
    home = Home(Path(settings.syncapp_home))
    lock = _lock(home)
    web = _listen(settings.port, wanted=bool(os.environ.get("PORT")))
    console = Console(sys.stdout, home.path / "syncapp.log", as_json=json_asked())
    with suppress(Ended), Supervisor(console, lock=lock) as supervisor, web:
        _run(Stack(settings, home, supervisor, _environment(settings, home, web), settings.flower_port), web)


def _run(stack: Stack, web: socket.socket) -> None:
    _start_databases(stack)
    stack.supervisor.say("migrating the database")
    stack.settings = load_settings(database_url=stack.env.get("DATABASE_URL"), redis_url=stack.env["REDIS_URL"])
    upgrade(stack.settings.database)
    start_demos(stack.settings, stack.home, stack.env, stack.start, stack.supervisor.say)
    record(stack.home, stack.env | {"DATABASE_URL": stack.settings.database})
    stack.start("web", programs.WEB, "--bind", f"fd://{web.fileno()}", pass_fds=(web.fileno(),))
    stack.start("worker", programs.SYNC_WORKER)
    stack.supervisor.start(Program("flower", partial(_flower, stack)))
    stack.start("light", programs.LIGHT_WORKER)
    stack.start("beat", programs.BEAT)
    api = Api(_address(web.getsockname()[1]), stack.env["SYNCAPP_ADMIN_TOKEN"])
    if not stack.supervisor.wait(api.is_up, START):
        raise ServerFailed(f"the API did not answer within {START:g} s")
    # Flower shows only what happens while it looks on: the first sync should be there to see.
    if not stack.supervisor.wait(lambda: api.shows(_address(stack.flower_port)), OTHERS, every=0.2):
        stack.supervisor.say("Flower does not answer yet")
    database = Database(stack.settings.database, pool_size=1, application_name="syncapp-up")
    try:
        _sync(stack, api, database)
        _wait_until_ready(stack, api, database)
        _report(stack, api, database)
    finally:
        database.dispose()
    stack.supervisor.run()


def _lock(home: Home) -> int:
    """The folder's lock; after a kill, the last processes of the `up` before have a moment to end."""
    end = time.monotonic() + PREVIOUS
    while (descriptor := home.lock()) is None:
        holder = home.read("lock") or ""
        if (holder.isdigit() and command_line(int(holder))) or time.monotonic() > end:
            raise HomeError(
                f"syncapp already runs on {home.path} (process {holder}); SYNCAPP_HOME names another folder"
            )
        time.sleep(0.1)
    return descriptor


def _environment(settings: Settings, home: Home, web: socket.socket) -> dict[str, str]:
    """What every process of ours gets: ours, and what the user left to us."""
    token = settings.syncapp_admin_token
    key = settings.syncapp_secret_key
    return {
        "LOG_FORMAT": "console",
        "REMAP_SIGTERM": "SIGQUIT",  # workers end at a page boundary or put their run back, soon
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser",  # on a machine of one's own, as in CI
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "SYNCAPP_HOME": str(home.path),
        "SYNCAPP_ADMIN_TOKEN": token.get_secret_value() if token else home.secret("admin-token", prefix="syncapp_"),
        "SYNCAPP_SECRET_KEY": key.get_secret_value() if key else home.secret("secret-key"),
        "PORT": str(web.getsockname()[1]),
        "WEB_CONCURRENCY": str(settings.web_concurrency),  # gunicorn itself cannot read an empty one
    }


def _start_databases(stack: Stack) -> None:
    settings, home = stack.settings, stack.home.path
    if settings.database_url is None and settings.postgres_host is None:
        stack.env["DATABASE_URL"] = stack.serve(PostgresServer(home), Stage.DATABASE)
    if settings.redis_url is None:
        stack.env["REDIS_URL"] = stack.serve(ValkeyServer(home), Stage.BROKER)
        return
    try:
        with redis.Redis.from_url(settings.broker, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        raise SettingsError(f"REDIS_URL cannot be used: {error}") from error


def _flower(stack: Stack) -> Command:
    """Flower cannot be given a socket as the API is: with FLOWER_PORT unset it moves on where the port is taken."""
    if not os.environ.get("FLOWER_PORT"):
        ports = range(stack.flower_port, stack.flower_port + 200)
        stack.flower_port = next((port for port in ports if is_free(port)), stack.flower_port)
    env = stack.env | {"FLOWER_PORT": str(stack.flower_port), "FLOWER_ADDRESS": LOOPBACK}
    # It keeps nothing, and asked to end it waits for answers of workers that are ending too.
    return replace(programs.module(programs.FLOWER, env), stop_signal=signal.SIGKILL)


def _sync(stack: Stack, api: Api, database: Database) -> None:
    """Clients, appointments and the demo's practice, before anything is shown. A failure is said and ends nothing."""
    say = stack.supervisor.say
    say("the first sync starts")
    try:
        first = FirstSync(api, database, say, admit_practice(api, stack.env, say))
        if not stack.supervisor.wait(first.is_over, FIRST_SYNC, every=0.1):
            say(f"still syncing after {FIRST_SYNC:g} s, and going on in the background: {', '.join(first.unfinished)}")
    except (ApiAnswer, SyncError) as error:
        say(f"the first sync failed: {error}")


def _wait_until_ready(stack: Stack, api: Api, database: Database) -> None:
    """Until work that is accepted will be done; says it, or what is missing."""

    def is_ready() -> bool:
        # Looked up here until it is true, for each refusal of /readyz is a line in the API's log.
        return readiness(database, stack.settings, QUEUES).ready and api.is_up("/readyz")

    if stack.supervisor.wait(is_ready, OTHERS, every=0.2):
        stack.supervisor.say(f"ready after {time.monotonic() - stack.began:.1f} s")
        return
    found = readiness(database, stack.settings, QUEUES)
    missing = [name for name, state in found.checks.items() if state != "ok"] or ["API"]
    stack.supervisor.say(f"not ready yet: {', '.join(missing)}; {api.url}/readyz tells when it is")


def _report(stack: Stack, api: Api, database: Database) -> None:
    say = stack.supervisor.say
    try:
        counts = count_rows(database, Scope(stack.settings.default_organization_id))
        say("in PostgreSQL now: " + ", ".join(row_counts(name, found) for name, found in counts.items()))
        if PRACTICE_KEY in stack.env:
            rows = count_cliniko_rows(database, Scope(PRACTICE))
            say(f"of the organization {PRACTICE}: " + ", ".join(f"{count:,} {name}" for name, count in rows.items()))
    except SyncError as error:
        say(f"the rows cannot be counted: {error}")
    facts = {"api": api.url, "flower": _address(stack.flower_port), "admin_token": api.token}
    if api.shows(f"{api.url}/"):
        facts["dashboard"] = f"{api.url}/"
        say(f"dashboard    {facts['dashboard']}")
    say(f"API          {api.url}/docs")
    say(f"Flower       {facts['flower']}  (user admin, password: the admin token)")
    say(f"admin token  {api.token}", keep=False)
    say("Ctrl-C ends everything", facts=facts)


def _listen(first: int, *, wanted: bool) -> socket.socket:
    """The API's listening socket, held here so that no other process gets the port and a restart loses no client.

    Takes the next free port where the user named none. Raises HomeError.
    """
    for port in [first] if wanted else range(first, first + 200):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(2048)
        except OSError:
            listener.close()
        else:
            return listener
    raise HomeError(f"PORT {first} is taken; name another one, or none to take the next that is free")


def _address(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
