"""Faults that a test switches on in a demo upstream, per path, page and count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import orjson

from syncapp.demo.exchange import Answer, Request

Proceed = Callable[[Request], Answer]
Records = dict[str, list[Any]]


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong.

    kind     one of `KINDS`
    path     a pattern of paths such as `/clients`, `*` for all
    page     only requests with `page=` this number; None for all
    after    the first so many requests that match are spared
    times    how often it happens, None for always
    status   of `status` (500), `body` (200) and `redirect` (302); `headers` are added to the answer, whatever the kind
    seconds  of `delay` and `drip`
    amount   of `cut` (bytes that get through), `truncate` (bytes that are left), `garbage` and `shift` (records),
             `huge` (bytes)
    text     of `body`, `status`: the body; of `redirect`: where to
    """

    kind: str
    path: str = "*"
    page: int | None = None
    after: int = 0
    times: int | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    amount: int = 10
    text: str = ""
    seen: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind}: one of {', '.join(KINDS)}")

    def matches(self, request: Request) -> bool:
        if not fnmatchcase(request.path, self.path):
            return False
        return self.page is None or request.number("page", 1) == self.page


class Faults:
    """The faults that are switched on, the earliest first. Safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets, counted."""
        with self._lock:
            for fault in self._faults:
                if fault.times is not None and fault.seen >= fault.after + fault.times:
                    continue
                if fault.matches(request):
                    fault.seen += 1
                    if fault.seen > fault.after:
                        return fault
        return None

    def as_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]


def spoil(fault: Fault, request: Request, proceed: Proceed, records: Records) -> Answer:
    """The answer that `fault` makes of a request."""
    answer = KINDS[fault.kind](fault, request, proceed, records)
    return replace(answer, headers={**answer.headers, **fault.headers}) if fault.headers else answer


def _status(fault: Fault, _request: Request, _proceed: Proceed, _records: Records) -> Answer:
    status = fault.status or 500
    if fault.text:
        return Answer(fault.text.encode(), status, content_type="text/plain; charset=utf-8")
    return Answer.json({"error": f"status {status} on purpose"}, status)


def _delay(fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    return replace(proceed(request), delay=fault.seconds)


def _hang(_fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    return replace(proceed(request), hang=True)


def _reset(_fault: Fault, _request: Request, _proceed: Proceed, _records: Records) -> Answer:
    return Answer(cut_after=-1)


def _cut(fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    return replace(proceed(request), cut_after=fault.amount)


def _drip(fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    return replace(proceed(request), drip=fault.seconds)


def _html(fault: Fault, _request: Request, _proceed: Proceed, _records: Records) -> Answer:
    page = fault.text or "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"
    return Answer(page.encode(), 200, content_type="text/html; charset=utf-8")


def _body(fault: Fault, _request: Request, _proceed: Proceed, _records: Records) -> Answer:
    return Answer(fault.text.encode(), fault.status or 200)


def _truncate(fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    answer = proceed(request)
    return replace(answer, body=answer.body[: fault.amount])


def _envelope(_fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    return Answer.json({"unexpected": orjson.loads(proceed(request).body)})


def _garbage(fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    """Things that are no records, put in front of the page's own."""
    answer = proceed(request)
    kinds: list[Any] = [
        None,
        42,
        "text",
        [],
        {},
        {"id": None},
        {"id": {"a": 1}},
        {"id": "x" * 300},
        True,
        {"id": "nul\u0000byte"},
    ]
    junk = [kinds[index % len(kinds)] for index in range(fault.amount)]
    body = orjson.loads(answer.body)
    rows = body if isinstance(body, list) else next(value for value in body.values() if isinstance(value, list))
    rows[:0] = junk
    return replace(answer, body=orjson.dumps(body))


def _redirect(fault: Fault, _request: Request, _proceed: Proceed, _records: Records) -> Answer:
    return Answer(b"", fault.status or 302, {"Location": fault.text})


def _loop(_fault: Fault, request: Request, proceed: Proceed, _records: Records) -> Answer:
    """The first page for ever, whichever is asked for."""
    params = {name: value for name, value in request.params.items() if name not in {"page", "offset", "cursor"}}
    return proceed(replace(request, params=params))


def _shift(fault: Fault, request: Request, proceed: Proceed, records: Records) -> Answer:
    """Records vanish from the front of the list just before this page is served, so that all others move up."""
    del records[request.path.strip("/").split("/")[-1]][: fault.amount]
    return proceed(request)


def _huge(fault: Fault, _request: Request, _proceed: Proceed, _records: Records) -> Answer:
    return Answer(b'["' + b"x" * max(0, fault.amount - 4) + b'"]')


KINDS: Mapping[str, Callable[[Fault, Request, Proceed, Records], Answer]] = {
    "status": _status,
    "delay": _delay,
    "hang": _hang,
    "reset": _reset,
    "cut": _cut,
    "drip": _drip,
    "html": _html,
    "body": _body,
    "truncate": _truncate,
    "envelope": _envelope,
    "garbage": _garbage,
    "redirect": _redirect,
    "loop": _loop,
    "shift": _shift,
    "huge": _huge,
}
