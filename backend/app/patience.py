"""How long clients may keep the server waiting: now and then all connections of a process are looked at."""

import asyncio
import math
from collections.abc import Collection, Sequence
from typing import Protocol

#: Seconds between two looks, at most; with short limits it is a quarter of the shortest.
_SECONDS = 1.0

#: So many connections are looked at together, the next a moment later. To give one up costs as much as to
#: answer it: a thousand slow ones that are due at once would hold up all others.
_AT_ONCE = 16


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
            self._timer = loop.call_later(self._seconds, self._begin_round, loop, connections)

    def _begin_round(self, loop: asyncio.AbstractEventLoop, connections: Collection[Connection]) -> None:
        all_of_them = tuple(connections)
        pause = self._seconds / max(math.ceil(len(all_of_them) / _AT_ONCE), 1)
        self._look(loop, connections, all_of_them, pause)

    def _look(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: Collection[Connection],
        left: Sequence[Connection],
        pause: float,
    ) -> None:
        for connection in left[:_AT_ONCE]:
            if connection in connections:  # it is still open
                connection.look()
        self._timer = None
        if left := left[_AT_ONCE:]:
            self._timer = loop.call_later(pause, self._look, loop, connections, left, pause)
        elif connections:
            self._timer = loop.call_later(pause, self._begin_round, loop, connections)
