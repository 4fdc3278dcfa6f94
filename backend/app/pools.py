"""A pool of connections for each event loop that asks for one."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from app.breaker import Breaker
from app.pool import Pool
from app.slots import Slots

_CLOSE_SECONDS = 2


class Pools:
    """Pools that are opened on first use, and closed with their event loop."""

    def __init__(self, arguments: dict[str, Any], make_slots: Callable[[], Slots], breaker: Breaker) -> None:
        self._breaker = breaker
        self.arguments = arguments | {"reset": _keep_as_it_is}
        self._make_slots = make_slots
        self._opened: dict[asyncio.AbstractEventLoop, tuple[AsyncGenerator[Pool], Pool]] = {}

    async def here(self) -> Pool:
        """Return the running loop's pool; with `min_size=0` opening it waits for nothing, so none race."""
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            self._opened = {other: opened for other, opened in self._opened.items() if not other.is_closed()}
            opening = self._open()
            self._opened[loop] = (opening, await anext(opening))
        return self._opened[loop][1]

    @property
    def slots(self) -> Slots:
        """Who may use the running loop's pool now."""
        opened = self._opened.get(asyncio.get_running_loop())
        return opened[1].slots if opened else self._make_slots()

    async def close(self) -> None:
        """Close the pool of the running event loop."""
        if opened := self._opened.pop(asyncio.get_running_loop(), None):
            await opened[0].aclose()

    async def _open(self) -> AsyncGenerator[Pool]:
        """Keep a pool open as long as this generator lives.

        An event loop closes the asynchronous generators that were started in it (asyncio.Runner does, and
        with it every server and test runner), so a pool never outlives its loop, lifespan or not.
        """
        pool = Pool(await asyncpg.create_pool(**self.arguments), self._make_slots(), self._breaker)
        try:
            yield pool
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await pool.close()


async def _keep_as_it_is(_connection: object) -> None:
    """Replace the pool's reset query, a round trip for each statement: ours leave nothing to reset."""
