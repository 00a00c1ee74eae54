"""Doing something in the middle of a run: when its source is asked for a page, before that is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from syncapp.demo.exchange import Answer, Request
from syncapp.demo.server import DemoServer

Act = Callable[[], object]


@contextmanager
def before_page(upstream: DemoServer, path: str, page: int, act: Act) -> Iterator[None]:
    """Does `act`, once, when that page of `/v1/<path>` is asked for, in the upstream's thread.

    Raises afterwards what it raised; fails where nobody asked.
    """

    def act_on(request: Request) -> bool:
        if request.path != f"/v1/{path}" or request.number("page", 1) != page:
            return False
        act()
        return True

    with before_each(upstream, act_on) as done:
        yield
    assert any(done), f"nobody asked for page {page} of {path}"


@contextmanager
def before_each(upstream: DemoServer, act: Callable[[Request], bool | None]) -> Iterator[list[bool]]:
    """Does `act` for every request, until it has returned true once. Raises afterwards what it raised."""
    answer, done, errors = upstream.answer, [False], []

    def act_and_answer(request: Request) -> Answer:
        try:
            if not (done[0] or errors):
                done[0] = bool(act(request))
        except BaseException as error:
            errors.append(error)
        return answer(request)

    upstream.answer = act_and_answer  # type: ignore[method-assign]
    try:
        yield done
    finally:
        upstream.answer = answer  # type: ignore[method-assign]
    if errors:
        raise errors[0]
