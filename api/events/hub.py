"""All streams of a process: one thread that writes to them, one that asks PostgreSQL for all of them together."""

from __future__ import annotations

import asyncio
import socket
from asyncio import AbstractEventLoop, BaseTransport, TimerHandle, Transport
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import cast

import structlog

from api.events.pieces import KEEP_ALIVE, RETRY, Piece, Read
from syncapp.queries import Place

log = structlog.get_logger(__name__)

MOST = 1_000  # streams of a process
TURN_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0  # routers end a connection that is silent for some 30 to 60
STUCK_SECONDS = 30.0  # a client that takes nothing for so long is let go; if it lives, it asks again
LONGEST_SECONDS = 600.0  # then the client asks again, with a token that must still hold
KERNEL_BUFFER = 65_536  # bytes; left alone, the kernel keeps megabytes for a client that does not read


class Stream(asyncio.Protocol):
    """One client: which run it follows, and how far it is. Lives in the hub's writing thread.

    It is given more only when the kernel has taken all it was given: who reads slowly costs one piece and no event.
    """

    def __init__(self, loop: AbstractEventLoop, streams: set[Stream], place: Place, head: bytes) -> None:
        self.place = place
        self._loop, self._streams, self._head = loop, streams, head
        self._timers: dict[str, TimerHandle] = {}

    @property
    def is_ready(self) -> bool:
        return "stuck" not in self._timers and not self._transport.is_closing()

    def send(self, piece: Piece) -> None:
        self._transport.write(piece.text)
        self.place = piece.next
        if piece.is_last:
            self._transport.close()

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast(Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._streams.add(self)
        self._transport.write(self._head)
        self._later("end", LONGEST_SECONDS, self._transport.close)
        self._later("quiet", KEEP_ALIVE_SECONDS, self._keep_alive)

    def pause_writing(self) -> None:
        self._later("stuck", STUCK_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        self._timers.pop("stuck").cancel()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._streams.discard(self)
        for timer in self._timers.values():
            timer.cancel()

    def _keep_alive(self) -> None:
        if self.is_ready:
            self._transport.write(KEEP_ALIVE)
        self._later("quiet", KEEP_ALIVE_SECONDS, self._keep_alive)

    def _later(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_later(seconds, work)


class Hub:
    """Made at its first use: its threads must begin after the web server has forked.

    While there are streams it takes turns: a turn asks once for all that they have not seen, and the next one follows
    TURN_SECONDS later. The thread that writes never waits for PostgreSQL.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._streams: set[Stream] = set()
        self._asked: SimpleQueue[set[Place]] = SimpleQueue()
        self._takes_turns = False
        self._is_blind = False
        self._loop = asyncio.new_event_loop()
        for work in (self._loop.run_forever, self._read_forever):
            Thread(target=work, name="events", daemon=True).start()

    @property
    def is_full(self) -> bool:
        return len(self._streams) >= MOST

    def follow(self, client: socket.socket, place: Place, head: bytes = b"") -> None:
        """Takes over a connected socket: writes `head`, then the run's events after `place`, and closes it at its end.

        For any thread.
        """
        asyncio.run_coroutine_threadsafe(self._take(client, place, head + RETRY), self._loop)

    async def _take(self, client: socket.socket, place: Place, head: bytes) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        stream = Stream(self._loop, self._streams, place, head)
        await self._loop.connect_accepted_socket(lambda: stream, client)
        if not self._takes_turns:
            self._ask()

    def _ask(self) -> None:
        self._takes_turns = bool(self._streams)
        places = {stream.place for stream in self._streams if stream.is_ready}
        if places:
            self._asked.put(places)
        elif self._streams:
            self._loop.call_later(TURN_SECONDS, self._ask)

    def _read_forever(self) -> None:
        while True:
            found = self._try_read(self._asked.get())
            self._loop.call_soon_threadsafe(self._deliver, found)

    def _try_read(self, places: set[Place]) -> Mapping[Place, Piece]:
        try:
            found = self._read(places)
        except Exception as error:  # an edge: whatever it is, the streams outlast it, and the next turn asks again
            if not self._is_blind:
                log.warning("events.unreadable", consequence="the streams wait", exc_info=error)
            self._is_blind = True
            return {}
        self._is_blind = False
        return found

    def _deliver(self, found: Mapping[Place, Piece]) -> None:
        has_more = any(piece.has_more for piece in found.values())
        self._loop.call_later(0 if has_more else TURN_SECONDS, self._ask)
        for stream in self._streams:
            if stream.is_ready and stream.place in found:
                stream.send(found[stream.place])
