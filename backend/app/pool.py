"""The connections to PostgreSQL, handed from one statement to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.slots import Slots

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "PoolConnectionProxy[Row]"  # generic for type checkers only

#: How long a connection stays at hand when nobody wants it.
_AT_HAND_SECONDS = 1
_RELEASE_SECONDS = 0.5


class Pool:
    """asyncpg's pool, and in front of it the connections that were used a moment ago.

    asyncpg's pool makes a task whenever a connection comes back, up to a fifth of what a request costs
    (docs/decisions/0019). So it is asked only now and then: it opens connections, closes idle ones, and takes
    back those whose statement failed. In between they go from hand to hand, in the order that `slots` has.
    """

    def __init__(self, pool: asyncpg.Pool[Row], slots: Slots) -> None:
        self._pool = pool
        self._slots = slots  # as many as connections: who has one finds one at hand, or may borrow one
        self._at_hand: list[Connection] = []  # the last used last, so that the others grow idle
        self._returns: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None

    @property
    def room(self) -> int:
        """How many more statements can be taken on now, to be run or to wait."""
        return self._slots.room

    async def fetch(
        self, connection: Connection, user: str | None, sql: str, arguments: Sequence[Any]
    ) -> list[Row]:
        """Run one statement, on its own and outside any transaction; the connection goes on to the next."""
        try:
            rows = await connection.fetch(sql, *arguments)
        except BaseException:
            await self._give_up(connection, user)  # it may be broken, or still have a statement to cancel
            raise
        self.pass_on(connection, user)
        return rows

    async def close(self) -> None:
        """Close all connections, when their statements are done."""
        self._tidy()
        await self._pool.close()

    async def take(self, user: str | None = None, *, patient: bool = True) -> Connection:
        """Wait for a connection; it is for one statement of this user's. Raises Overloaded, like Slots."""
        await self._slots.take(user, patient=patient)
        try:
            while self._at_hand:
                connection = self._at_hand.pop()
                if _is_open(connection):
                    return connection
                await self._return(connection)
            return await self._pool.acquire()
        except BaseException:
            self._slots.give_back(user)
            raise

    def pass_on(self, connection: Connection, user: str | None) -> None:
        """Leave a connection to the next; nobody may want it for a while."""
        self._at_hand.append(connection)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(_AT_HAND_SECONDS, self._tidy)
        self._slots.give_back(user)

    async def _give_up(self, connection: Connection, user: str | None) -> None:
        try:
            await self._return(connection)
        finally:
            self._slots.give_back(user)

    def _tidy(self) -> None:
        """Let asyncpg's pool have what is not in use; it knows how long a connection may be idle."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for connection in self._at_hand:
            returning = asyncio.get_running_loop().create_task(self._return(connection))
            self._returns.add(returning)
            returning.add_done_callback(self._returns.discard)
        self._at_hand.clear()

    async def _return(self, connection: Connection) -> None:
        """Give a connection back to asyncpg's pool. Bounded: it waits until a statement is cancelled."""
        await self._pool.release(connection, timeout=_RELEASE_SECONDS)


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it broke while it was idle, and asyncpg's pool took it back
        return False
