"""The way to PostgreSQL: a pool runs statements, in time or not at all."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import column, func, literal_column, select, table

from app.breaker import Breaker
from app.config import Settings
from app.database_errors import DRIVER_ERRORS, is_unavailable, kind
from app.database_url import Target
from app.errors import OutcomeUnknown, Unavailable
from app.observer import NOBODY, Observer
from app.pool import Pool
from app.retries import Retries, may_be_done
from app.statement import Statement

__all__ = ["Database", "Row", "Statement"]

Row: TypeAlias = asyncpg.Record

#: Neon suspends after 300 s without queries and takes every connection with it (research: postgres B3).
_IDLE_SECONDS = 240
_LOOK_SECONDS = 0.01
_CLOSE_SECONDS = 2


_PING = Statement(select(literal_column("1")))
_CLOCK = Statement(select(func.clock_timestamp().label("now")))
_SCHEMA_REVISION = Statement(select(column("version_num")).select_from(table("alembic_version")))


class Database:
    """A pool of connections for each event loop that asks; opened on first use, closed with its loop.

    Every statement is atomic by itself and runs outside any transaction: one round trip.
    """

    def __init__(self, url: str, settings: Settings, observer: Observer = NOBODY) -> None:
        target = Target.parse(url)
        prepared = settings.database_prepared_statements
        keep_prepared = prepared == "on" or (prepared == "auto" and not target.pooled)
        self._observer = observer
        self._timeout = settings.database_timeout
        self._breaker, self._retries = Breaker(), Retries()
        self._arguments = target.arguments() | {
            "min_size": 0,
            "max_size": settings.database_pool_size,
            "max_inactive_connection_lifetime": _IDLE_SECONDS,
            "reset": _keep_as_it_is,
            "statement_cache_size": 100 if keep_prepared else 0,
        }
        self._pools: dict[asyncio.AbstractEventLoop, tuple[AsyncGenerator[Pool], Pool]] = {}
        self._check: asyncio.Task[bool] | None = None
        self.last_used = float("-inf")  #: when it answered last, by time.monotonic()

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """Run one statement and return its rows.

        Raises Unavailable when the database can't be reached, refuses service or takes longer than
        DATABASE_TIMEOUT seconds, waiting for a connection included; OutcomeUnknown when a write may be done.
        """
        arguments = statement.arguments(values)
        began, connected, failures = time.perf_counter(), None, 0
        if statement is not _PING:  # the check has to know for itself
            self._breaker.admit()
        try:
            async with asyncio.timeout(self._timeout):
                pool = await self._pool()
                while True:
                    connected = None
                    try:
                        connection = await pool.take()
                        connected = time.perf_counter()
                        rows = await pool.fetch(connection, statement.sql, arguments)
                    except DRIVER_ERRORS as error:
                        failures += 1
                        await self._may_try_again(statement, error, failures, sent=connected is not None)
                    else:
                        self.last_used = time.monotonic()
                        self._retries.earn()
                        return rows
        except DRIVER_ERRORS as error:
            self._observer.statement_failed(kind(error))
            if may_be_done(error, writes=statement.writes, sent=connected is not None):
                raise OutcomeUnknown from error
            if is_unavailable(error):
                raise Unavailable from error
            raise
        finally:
            self._observer.statement_ended(began, connected)

    async def _may_try_again(
        self, statement: Statement, error: Exception, failures: int, *, sent: bool
    ) -> None:
        """Return when it is time for another try; raises the error where there shall be none."""
        if not self._retries.allow(error, failures, writes=statement.writes, sent=sent):
            raise error
        self._observer.statement_retried()
        await self._retries.pause()
        self._breaker.admit()

    async def fetch_one(self, statement: Statement, **values: Any) -> Row | None:
        """Run one statement that gives at most one row."""
        rows = await self.fetch(statement, **values)
        return rows[0] if rows else None

    async def answers_within(self, seconds: float) -> bool:
        """Whether the database answers in time; simultaneous callers share one check.

        Any statement's answer says as much: under full load a check waits its turn. It goes on behind,
        so that a connection that is slow to open (a sleeping database, say) is there for the next.
        """
        check = self._check
        if check is None or check.done() or check.get_loop() is not asyncio.get_running_loop():
            check = self._check = asyncio.create_task(self._answers())
        began = time.monotonic()
        while not check.done() and self.last_used < began > time.monotonic() - seconds:
            await asyncio.wait({check}, timeout=min(seconds, _LOOK_SECONDS))
        return check.result() if check.done() else self.last_used >= began

    async def _answers(self) -> bool:
        try:
            await self.fetch(_PING)
        except Unavailable:
            return False
        return True

    async def schema_revision(self) -> str | None:
        """Return the migration that the schema stands at; None before the first one."""
        try:
            row = await self.fetch_one(_SCHEMA_REVISION)
        except Unavailable as error:
            if isinstance(error.__cause__, asyncpg.UndefinedTableError):
                return None
            raise
        return row["version_num"] if row else None

    async def clock(self) -> datetime:
        """Return what time it is by the database's clock."""
        rows = await self.fetch(_CLOCK)
        now: datetime = rows[0]["now"]
        return now

    async def close(self) -> None:
        """Close the pool of the running event loop."""
        if opened := self._pools.pop(asyncio.get_running_loop(), None):
            await opened[0].aclose()

    async def _pool(self) -> Pool:
        """Return the running loop's pool; with `min_size=0` opening it waits for nothing, so none race."""
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            self._pools = {other: opened for other, opened in self._pools.items() if not other.is_closed()}
            opening = self._open()
            self._pools[loop] = (opening, await anext(opening))
        return self._pools[loop][1]

    async def _open(self) -> AsyncGenerator[Pool]:
        """Keep a pool open as long as this generator lives.

        An event loop closes the asynchronous generators that were started in it (asyncio.Runner does, and
        with it every server and test runner), so a pool never outlives its loop, lifespan or not.
        """
        opened = await asyncpg.create_pool(**self._arguments)
        pool = Pool(opened, self._arguments["max_size"], self._breaker)
        try:
            yield pool
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await pool.close()


async def _keep_as_it_is(_connection: object) -> None:
    """Replace the pool's reset query, a round trip for each statement: ours leave nothing to reset."""
