"""The connections to PostgreSQL, handed from one statement to the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.breaker import Breaker
from app.database_errors import DRIVER_ERRORS, is_lost
from app.slots import Slots

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
    back those whose statement failed. In between they go from hand to hand, in the order that `slots` has.
    What connections tell of the server, the breaker hears.
    """

    def __init__(self, pool: asyncpg.Pool[Row], slots: Slots, breaker: Breaker | None = None) -> None:
        self._pool = pool
        self.slots = slots  # as many as connections: who has one finds one at hand, or may borrow one
        self._breaker = breaker or Breaker()
        self._at_hand: list[Connection] = []  # the last used last, so that the others grow idle
        self._returns: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None

    async def fetch(
        self, connection: Connection, user: str | None, sql: str, arguments: Sequence[Any]
    ) -> list[Row]:
        """Run one statement, on its own and outside any transaction; the connection goes on to the next."""
        try:
            rows = await connection.fetch(sql, *arguments)
        except asyncio.CancelledError:
            # It has a statement to cancel: nobody has to wait for that.
            self._do_behind(self._give_up(connection, user))
            raise
        except BaseException as error:
            if not is_lost(error):  # it is an answer
                self._breaker.made_contact()
            await self._give_up(connection, user)  # it may be broken
            raise
        self._breaker.made_contact()
        self.pass_on(connection, user)
        return rows

    async def close(self) -> None:
        """Close all connections, when their statements are done."""
        self._tidy()
        await self._pool.close()

    async def take(self, user: str | None = None, *, patient: bool = True) -> Connection:
        """Wait for a connection; it is for one statement of this user's. Raises Overloaded, like Slots."""
        await self.slots.take(user, patient=patient)
        try:
            while self._at_hand:
                connection = self._at_hand.pop()
                if _is_open(connection):
                    return connection
                await self._return(connection)
            return await self._borrow()
        except BaseException:
            self.slots.give_back(user)
            raise

    async def _borrow(self) -> Connection:
        began = time.monotonic()
        try:
            connection = await self._pool.acquire()
        except BaseException as error:
            waited = time.monotonic() - began >= _OPENING_SECONDS
            if waited if isinstance(error, asyncio.CancelledError) else is_lost(error):
                self._breaker.lost_contact()
            raise
        self._breaker.made_contact()
        return connection

    def pass_on(self, connection: Connection, user: str | None) -> None:
        """Leave a connection to the next; nobody may want it for a while."""
        self._at_hand.append(connection)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(_AT_HAND_SECONDS, self._tidy)
        self.slots.give_back(user)

    async def _give_up(self, connection: Connection, user: str | None) -> None:
        try:
            await self._return(connection)
        finally:
            self.slots.give_back(user)

    def _tidy(self) -> None:
        """Let asyncpg's pool have what is not in use; it knows how long a connection may be idle."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for connection in self._at_hand:
            self._do_behind(self._return(connection))
        self._at_hand.clear()

    def _do_behind(self, returning_it: Coroutine[None, None, None]) -> None:
        returning = asyncio.get_running_loop().create_task(returning_it)
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


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it broke while it was idle, and asyncpg's pool took it back
        return False
