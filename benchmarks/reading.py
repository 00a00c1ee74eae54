"""A keep-alive session and orjson: how the floor and dlt's best path read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import urllib3


def fetch(pool: urllib3.HTTPConnectionPool, path: str, page: int, size: int) -> dict[str, Any]:
    answer = pool.request("GET", f"{path}?page={page}&per_page={size}", retries=False)
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}")
    found: dict[str, Any] = orjson.loads(answer.data)
    return found


def read(url: str, size: int, ahead: int) -> Iterator[dict[str, Any]]:
    parts = urllib3.util.parse_url(url)
    pool = urllib3.HTTPConnectionPool(str(parts.host), parts.port, maxsize=ahead)
    first = fetch(pool, str(parts.path), 1, size)
    yield first
    numbers = range(2, -(-first["total"] // size) + 1)
    if ahead == 1:
        for number in numbers:
            yield fetch(pool, str(parts.path), number, size)
        return
    with ThreadPoolExecutor(ahead) as threads:
        waiting: deque[Any] = deque()
        for number in numbers:
            waiting.append(threads.submit(fetch, pool, str(parts.path), number, size))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
