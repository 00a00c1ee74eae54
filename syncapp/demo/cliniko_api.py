"""A stand-in for Cliniko's API, as far as a sync reads it: accounts by key, filters, pages, limits.

>>> with ClinikoServer({"key-au1": make_records(1, patients=50, appointments=200)}) as upstream:
...     upstream.account.archive("patients", "1")
...     upstream.fail("status", path="/v1/patients", page=2, status=503, times=1)
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from syncapp.demo.cliniko_account import Account, Call
from syncapp.demo.cliniko_query import Query, Refused, read_filters, read_order
from syncapp.demo.cliniko_shapes import RESOURCES, USERS, Record, Resource
from syncapp.demo.exchange import Answer, Request
from syncapp.demo.faults import Records
from syncapp.demo.server import DemoServer, utc_now
from syncapp.ports import Clock

PAGE_SIZE, MAX_PAGE_SIZE = 50, 100
KEY = re.compile(r"(?P<body>.+)-(?P<shard>[a-z]{2}\d{1,2})")
USER_AGENT = re.compile(r"[^()]*[^()\s][^()]* \([^@()\s]+@[^@()\s]+\.[^@()\s]+\)")
NOBODY: Record = {"id": "1", "first_name": "Demo", "last_name": "User", "role": "administrator", "active": True}


def split_key(key: str) -> tuple[str, str | None]:
    """A key's body and its shard, None where it has none."""
    parts = KEY.fullmatch(key)
    return (parts["body"], parts["shard"]) if parts else (key, None)


def _refusal(status: int, message: str, **headers: str) -> Answer:
    return Answer.json({"message": message}, status, {name.replace("_", "-"): value for name, value in headers.items()})


class ClinikoApi:
    """Answers for several accounts, each under its key, such as `abc-au1`; a caller may leave the shard out.

    limit, window  how many requests an account may make in any so many seconds; may be changed at any time
    accounts       by key; use `add` and `revoke`
    """

    def __init__(
        self, accounts: Mapping[str, Records], *, limit: int = 200, window: float = 60.0, clock: Clock = utc_now
    ) -> None:
        self.limit = limit
        self.window = window
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        for key, records in accounts.items():
            self.add(key, records)

    def add(self, key: str, records: Records | None = None) -> Account:
        """A new account; one that had the key loses it."""
        account = self.accounts[key] = Account(records, self.clock)
        return account

    def revoke(self, key: str) -> Account:
        """The key opens nothing from now on; `accounts[other] = ...` gives the account another. Raises KeyError."""
        return self.accounts.pop(key)

    def account(self, key: str) -> Account:
        """Of a key with or without its shard. Raises KeyError."""
        if key in self.accounts:
            return self.accounts[key]
        body, shard = split_key(key)
        for known, account in list(self.accounts.items()):
            its_body, its_shard = split_key(known)
            if body == its_body and (shard is None or its_shard is None):
                return account
        raise KeyError(key)

    def requests_of(self, key: str) -> list[Call]:
        """Every request with this key so far, the refused ones too. Raises KeyError."""
        return list(self.account(key).calls)

    def __call__(self, request: Request) -> Answer:
        return self.refuse(request) or self.serve(request)

    def refuse(self, request: Request) -> Answer | None:
        """Counts a request of an account; 429 where it was one too many."""
        account = self._account_of(request)
        if account is None:
            return None
        reset = account.count(request.at, request.path, request.query, self.limit, self.window)
        return None if reset is None else _refusal(429, "Rate limit exceeded.", X_RateLimit_Reset=str(reset))

    def serve(self, request: Request) -> Answer:
        """Answers whatever the limit says."""
        account = self._account_of(request)
        if account is None:
            return _refusal(401, "Invalid API key.", WWW_Authenticate='Basic realm="Application"')
        if not USER_AGENT.fullmatch(request.headers.get("user-agent", "")):
            return _refusal(403, "The User-Agent must be of the form APP_VENDOR_NAME (APP_VENDOR_EMAIL).")
        if "application/json" not in request.headers.get("accept", ""):
            return _refusal(406, "Only application/json is served: send it as Accept.")
        try:
            with account.lock:
                return _route(account, request)
        except Refused as refused:
            return _refusal(refused.status, str(refused))

    def _account_of(self, request: Request) -> Account | None:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            key, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            return self.account(key) if scheme.lower() == "basic" and not password else None
        except (KeyError, binascii.Error, UnicodeDecodeError):
            return None


def _route(account: Account, request: Request) -> Answer:
    """Raises `Refused` for what there is not and for filters that there are not."""
    version, *path = request.path.strip("/").split("/")
    known = version == "v1" and (path == ["user"] or (len(path) in (1, 2) and path[0] in RESOURCES))
    if not known:
        raise Refused("Not found.", 404)
    if request.method != "GET":
        return _refusal(405, "Method not allowed.", Allow="GET")
    if path == ["user"]:
        found = next(iter(account.records["users"]), NOBODY)
        return Answer.json(USERS.show(found, f"{request.base_url}/v1"))
    resource = RESOURCES[path[0]]
    if path == ["practitioners"] or path == ["practitioners", "inactive"]:
        return _list(account, request, resource, active=len(path) == 1)
    if len(path) == 1:
        return _list(account, request, resource)
    return _one(account, request, resource, path[1])


def _pairs(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.query, keep_blank_values=True)


def _asked(request: Request) -> list[str]:
    return [value for name, value in _pairs(request) if name in {"q[]", "q"}]


def _list(account: Account, request: Request, resource: Resource, active: bool | None = None) -> Answer:
    filters = read_filters(_asked(request), resource.filters)
    order = read_order(request.params.get("sort", ""), request.params.get("order", ""), resource.filters)
    rows = account.select(Query(resource, filters, order, active))
    page, size = request.number("page", 1), min(request.number("per_page", PAGE_SIZE), MAX_PAGE_SIZE)
    pairs = [(name, str(size) if name == "per_page" else value) for name, value in _pairs(request) if name != "page"]
    numbers = {"self": page}
    if page > 1:
        numbers["previous"] = page - 1
    if page * size < len(rows):
        numbers["next"] = page + 1
    address = f"{request.base_url}{request.path}"
    return Answer.json(
        {
            resource.name: [
                resource.show(row, f"{request.base_url}/v1") for row in rows[(page - 1) * size : page * size]
            ],
            "total_entries": len(rows),
            "links": {rel: f"{address}?{urlencode([*pairs, ('page', number)])}" for rel, number in numbers.items()},
        }
    )


def _one(account: Account, request: Request, resource: Resource, id: str) -> Answer:
    """A hidden record needs a filter on the mark that hides it; no other column can be asked for here."""
    columns = {mark: kind for mark, kind in resource.filters.items() if mark in resource.hidden}
    filters = read_filters(_asked(request), columns)
    for record in Query(resource, filters).select(account.lookup(resource.name, id)):
        return Answer.json(resource.show(record, f"{request.base_url}/v1"))
    raise Refused("Not found.", 404)


class ClinikoServer(DemoServer):
    """A `ClinikoApi` at `url + "/v1"`, to which the faults of every demo upstream can be added.

    api      its accounts and limits
    account  the first account; `records` and the control routes under /_records are its records
    """

    def __init__(
        self,
        accounts: Mapping[str, Records],
        *,
        limit: int = 200,
        window: float = 60.0,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.api = ClinikoApi(accounts, limit=limit, window=window, clock=clock)
        self.account = next(iter(self.api.accounts.values()), Account(clock=clock))
        super().__init__(app=self.api.serve, host=host, port=port, clock=clock, tls=tls)
        self.records = self.account.records

    def __enter__(self) -> ClinikoServer:
        self.start()
        return self

    def answer(self, request: Request) -> Answer:
        """The limit comes before the faults, so that requests that met one count too."""
        refused = self.api.refuse(request)
        if refused is not None:
            self.requests.append(request)
            return refused
        answer = super().answer(request)
        if request.path.startswith("/_records/") and request.method == "POST":
            self.account.touch()
        return answer
