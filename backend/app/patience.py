"""How long clients may keep the server waiting: now and then all connections of a process are looked at."""

import asyncio
from collections.abc import Collection
from typing import Protocol

#: Seconds between two looks, at most; with short limits it is a quarter of the shortest.
_SECONDS = 1.0


class Connection(Protocol):
    """What is looked at."""

    def look(self) -> None:
        """See what is waited for, and since how many looks."""


class Patience:
    """One timer for all connections, in place of one for each request.

    It counts looks, not seconds: while the process itself is too busy to look, nobody is late. So a limit is
    kept to within one look, and only under load later.
    """

    def __init__(self, *, head: float, send: float) -> None:
        self._seconds = min(_SECONDS, head / 4, send / 4)
        self.head = head / self._seconds  #: looks that the head of a request may take
        self.send = send / self._seconds  #: looks that an answer may wait for its reader
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, loop: asyncio.AbstractEventLoop, connections: Collection[Connection]) -> None:
        """Look from now on, for as long as there are connections."""
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop, connections)

    def _look(self, loop: asyncio.AbstractEventLoop, connections: Collection[Connection]) -> None:
        self._timer = None
        for connection in tuple(connections):
            connection.look()
        if connections:
            self.watch(loop, connections)
