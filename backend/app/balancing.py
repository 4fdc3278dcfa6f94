"""Shares new connections among worker processes, so that each holds about as many as the others.

The workers wait on one listening socket, and whoever is quickest takes what comes: one can end up with nearly
all of it (docs/decisions/0021). Here each worker writes down how many connections it holds, where the others
can read it, and one that holds more than another leaves the next to that one, for a moment.
"""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn
import uvloop

from app.processes import lives
from app.shedding import Protocol

#: More than anybody starts; while workers are replaced, old and new ones sit side by side.
_SEATS = 128
_SEAT_SECONDS = 1

#: How many connections a worker may hold more than another and still take the next.
_SLACK = 2
_DEFER_SECONDS = 0.002
_EXHAUSTED_SECONDS = 1  # out of file descriptors, say: trying again at once would only burn the processor

Factory = Callable[[], asyncio.BaseProtocol]


class Seats:
    """A table in shared memory: which worker processes there are, and how many connections each holds.

    A worker writes to its own seat only. What is read of the others may be a moment old.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pids = context.RawArray(ctypes.c_int, _SEATS)
        self._held = context.RawArray(ctypes.c_int, _SEATS)
        self._lock = context.Lock()
        self._mine: int | None = None

    def take(self) -> None:
        """Sit down; whoever has ended without leaving is taken off the table."""
        locked = self._lock.acquire(timeout=_SEAT_SECONDS)  # who held it may have been killed
        try:
            free = [seat for seat, pid in enumerate(self._pids) if not lives(pid)]
            for seat in free:  # all that have ended: nobody is to wait for one of them
                self._held[seat] = self._pids[seat] = 0
            if free:
                self._mine = free[0]
                self._pids[self._mine] = os.getpid()
        finally:
            if locked:
                self._lock.release()

    def leave(self) -> None:
        """Stand up; nobody waits for this process any more."""
        if self._mine is not None:
            self._pids[self._mine] = 0
            self._mine = None

    def hold(self, more: int) -> None:
        """Write down that so many connections came, or went."""
        if self._mine is not None:
            self._held[self._mine] += more

    def surplus(self) -> int:
        """Return how many connections this process holds more than the one with the fewest; 0 at least."""
        if self._mine is None:
            return 0
        fewest: int = min(held for pid, held in zip(self._pids, self._held, strict=True) if pid)
        return self._held[self._mine] - fewest


class Config(uvicorn.Config):
    """uvicorn's configuration of a worker that shares; it is made once and sent to each worker."""

    def __init__(self, app: str, **options: Any) -> None:
        super().__init__(app, http=_Protocol, **options)
        self.seats = Seats()

    def get_loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        return lambda: _Loop(self.seats)


class _Protocol(Protocol):
    """A connection that was counted when it was accepted."""

    def connection_lost(self, exc: Exception | None) -> None:
        cast("Config", self.config).seats.hold(-1)
        super().connection_lost(exc)


class _Loop(uvloop.Loop):
    """uvloop, with a way of its own to accept: uvloop's takes connections before anybody can be asked."""

    def __init__(self, seats: Seats) -> None:
        super().__init__()
        self._seats = seats

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Factory, *, sock: socket.socket, backlog: int, **_options: object
    ) -> "Listener":
        sock.settimeout(0)
        sock.listen(backlog)
        return Listener(self, protocol_factory, sock, self._seats)


class Listener:
    """Accepts connections from a socket that others accept from too, as many as are this worker's share.

    Of an asyncio server it has what uvicorn asks for.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, listener: socket.socket, seats: Seats
    ) -> None:
        self._loop, self._factory, self._socket, self._seats = loop, factory, listener, seats
        self._pause: asyncio.TimerHandle | None = None
        self._accepted = set[asyncio.Task[None]]()
        seats.take()
        loop.add_reader(listener, self._ready)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._pause is not None:
            self._pause.cancel()
        self._seats.leave()

    async def wait_closed(self) -> None:
        """Return at once: the connections are the server's own matter."""

    def _ready(self) -> None:
        # All that is its share: a busy worker comes by only once in many milliseconds.
        while self._seats.surplus() <= _SLACK:
            if not self._accept():
                return
        self._defer(_DEFER_SECONDS)

    def _defer(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._socket, self._ready)
        self._accept()  # whoever still waits here waits no longer, however busy the others are

    def _accept(self) -> bool:
        """Take one connection, if one waits."""
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was quicker; the caller has gone
            return False
        except OSError as error:
            logging.getLogger("app").error(  # noqa: TRY400 - where it happens is known
                "Can't accept connections: %s", error.strerror
            )
            self._defer(_EXHAUSTED_SECONDS)
            return False
        self._seats.hold(1)
        connection.settimeout(0)
        task = self._loop.create_task(self._welcome(connection))
        self._accepted.add(task)
        task.add_done_callback(self._accepted.discard)
        return True

    async def _welcome(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection)
        except OSError:
            self._seats.hold(-1)
            connection.close()
