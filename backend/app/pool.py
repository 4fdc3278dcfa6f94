"""The connections to PostgreSQL, handed from one statement to the next."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.breaker import Breaker
from app.database_errors import DRIVER_ERRORS, is_lost

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "PoolConnectionProxy[Row]"  # generic for type checkers only

#: How long a connection stays at hand when nobody wants it.
_AT_HAND_SECONDS = 1
_RELEASE_SECONDS = 0.5

#: Who was given up while it opened for so long found no server; before that, its caller has left.
_OPENING_SECONDS = 1


class Pool:
    """asyncpg's pool, and in front of it the connections that were used a moment ago.

    asyncpg's pool makes a task whenever a connection comes back, up to a fifth of what a request costs
    (docs/decisions/0019). So it is asked only now and then: it opens connections, closes idle ones, and takes
    back those whose statement failed. In between they go from hand to hand, first come, first served.
    What connections tell of the server, the breaker hears.
    """

    def __init__(self, pool: asyncpg.Pool[Row], size: int, breaker: Breaker | None = None) -> None:
        self._pool = pool
        self._size = size
        self._breaker = breaker or Breaker()
        self._taken = 0  # from asyncpg's pool: in use, or at hand
        self._at_hand: list[Connection] = []  # the last used last, so that the others grow idle
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._returns: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None

    async def fetch(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> list[Row]:
        """Run one statement, on its own and outside any transaction; the connection goes on to the next."""
        try:
            rows = await connection.fetch(sql, *arguments)
        except asyncio.CancelledError:
            self._return_behind(connection)  # it has a statement to cancel: nobody has to wait for that
            raise
        except BaseException as error:
            if not is_lost(error):  # it is an answer
                self._breaker.made_contact()
            await self._return(connection)  # it may be broken
            raise
        self._breaker.made_contact()
        self._pass_on(connection)
        return rows

    async def close(self) -> None:
        """Close all connections, when their statements are done."""
        self._tidy()
        await self._pool.close()

    async def take(self) -> Connection:
        """Wait for a connection; it is for one statement."""
        while True:
            if self._at_hand:
                connection = self._at_hand.pop()
                if _is_open(connection):
                    return connection
                await self._return(connection)
            elif self._taken < self._size:
                return await self._borrow()
            elif passed := await self._wait():
                return passed

    async def _borrow(self) -> Connection:
        self._taken += 1
        began = time.monotonic()
        try:
            connection = await self._pool.acquire()
        except BaseException as error:
            self._taken -= 1
            self._wake(None)
            waited = time.monotonic() - began >= _OPENING_SECONDS
            if waited if isinstance(error, asyncio.CancelledError) else is_lost(error):
                self._breaker.lost_contact()
            raise
        self._breaker.made_contact()
        return connection

    async def _wait(self) -> Connection | None:
        """Return a connection that was passed on; None when there is room to borrow one."""
        waiting: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and not self._wake(found := waiting.result()):
                self._keep(found)
            raise

    def _pass_on(self, connection: Connection) -> None:
        if not self._wake(connection):
            self._keep(connection)

    def _wake(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    def _keep(self, connection: Connection | None) -> None:
        if connection is not None:
            self._at_hand.append(connection)
            if self._tidying is None:
                self._tidying = asyncio.get_running_loop().call_later(_AT_HAND_SECONDS, self._tidy)

    def _tidy(self) -> None:
        """Let asyncpg's pool have what is not in use; it knows how long a connection may be idle."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for connection in self._at_hand:
            self._return_behind(connection)
        self._at_hand.clear()

    def _return_behind(self, connection: Connection) -> None:
        returning = asyncio.get_running_loop().create_task(self._return(connection))
        self._returns.add(returning)
        returning.add_done_callback(self._returns.discard)

    async def _return(self, connection: Connection) -> None:
        """Give a connection back to asyncpg's pool. Bounded: it waits until a statement is cancelled.

        One that can't be given back was closed.
        """
        try:
            await self._pool.release(connection, timeout=_RELEASE_SECONDS)
        except DRIVER_ERRORS:  # not even the cancelling was answered
            self._breaker.lost_contact()
        finally:
            self._taken -= 1
            self._wake(None)


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it broke while it was idle, and asyncpg's pool took it back
        return False
