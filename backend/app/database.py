"""The way to PostgreSQL: a pool runs statements, in time or not at all."""

import asyncio
import math
import time
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import column, func, literal_column, select, table

from app.breaker import Breaker
from app.config import Settings
from app.database_errors import DRIVER_ERRORS, is_unavailable, kind, took_itself_back
from app.database_url import Target
from app.errors import OutcomeUnknown, TooLate, Unavailable
from app.observer import NOBODY, Observer
from app.pools import Pools
from app.retries import Retries, may_be_done
from app.slots import Slots
from app.statement import Statement

Row: TypeAlias = asyncpg.Record

#: Neon suspends after 300 s without queries and takes every connection with it (research: postgres B3).
_IDLE_SECONDS = 240
_LOOK_SECONDS = 0.01


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
        limits = settings.database_pool_size, settings.database_queue, settings.database_queue_wait
        arguments = target.arguments() | {
            "min_size": 0,
            "max_size": settings.database_pool_size,
            "max_inactive_connection_lifetime": _IDLE_SECONDS,
            "statement_cache_size": 100 if keep_prepared else 0,
        }
        self._pools = Pools(arguments, lambda: Slots(*limits), self._breaker)
        self._check: asyncio.Task[Unavailable | None] | None = None
        self.last_used = float("-inf")  #: when it answered last, by time.monotonic()

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """Run one statement of the service's own and return its rows; it waits its turn, however many do.

        Raises Unavailable when the database can't be reached, refuses service or takes longer than
        DATABASE_TIMEOUT seconds, waiting for a connection included; OutcomeUnknown when a write may be done.
        """
        return await self._run(statement, values, None, math.inf, patient=True)

    async def fetch_for(
        self, user: str | None, until: float, statement: Statement, /, **values: Any
    ) -> list[Row]:
        """Run one statement for a caller, who may be known, till the moment `until` by the loop's clock.

        Raises Unavailable as `fetch` does and when it is too late, and Overloaded when too many wait.
        """
        return await self._run(statement, values, user, until, patient=False)

    async def _run(
        self, statement: Statement, values: dict[str, Any], user: str | None, until: float, *, patient: bool
    ) -> list[Row]:
        arguments = statement.arguments(values)
        seconds = min(self._timeout, until - asyncio.get_running_loop().time())
        if seconds <= 0:
            raise TooLate
        began, connected, failures = time.perf_counter(), None, 0
        if statement is not _PING:  # the check has to know for itself
            self._breaker.admit()
        try:
            async with asyncio.timeout(seconds):
                pool = await self._pools.here()
                while True:
                    connected = None
                    try:
                        connection = await pool.take(user, patient=patient)
                        connected = time.perf_counter()
                        rows = await pool.fetch(connection, user, statement.sql, arguments)
                    except DRIVER_ERRORS as error:
                        failures += 1
                        await self._may_try_again(statement, error, failures, sent=connected is not None)
                    else:
                        self.last_used = time.monotonic()
                        self._retries.earn()
                        return rows
        except DRIVER_ERRORS as error:
            if not took_itself_back(error):
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
        """Whether the database answers in time."""
        return await self.failure_within(seconds) is None

    async def failure_within(self, seconds: float) -> Unavailable | None:
        """Return why the database does not answer in time, if it does not; all who ask share a check.

        Any statement's answer says as much: under full load a check waits its turn. It goes on behind,
        so that a connection that is slow to open (a sleeping database, say) is there for the next.
        """
        check = self._check
        if check is None or check.done() or check.get_loop() is not asyncio.get_running_loop():
            check = self._check = asyncio.create_task(self._failure())
        began = time.monotonic()
        while not check.done() and self.last_used < began > time.monotonic() - seconds:
            await asyncio.wait({check}, timeout=min(seconds, _LOOK_SECONDS))
        if check.done():
            return check.result()
        return None if self.last_used >= began else Unavailable(reason=f"no answer within {seconds:g} s")

    async def _failure(self) -> Unavailable | None:
        try:
            await self.fetch(_PING)
        except Unavailable as error:
            return error
        return None

    async def schema_revision(self) -> str | None:
        """Return the migration that the schema stands at; None before the first one."""
        try:
            row = await self.fetch_one(_SCHEMA_REVISION)
        except Unavailable as error:
            if isinstance(error.__cause__, asyncpg.UndefinedTableError):
                return None
            raise
        return row["version_num"] if row else None

    @property
    def slots(self) -> Slots:
        """Who may run a statement in the running event loop now, and who waits."""
        return self._pools.slots

    async def clock(self) -> datetime:
        """Return what time it is by the database's clock."""
        rows = await self.fetch(_CLOCK)
        now: datetime = rows[0]["now"]
        return now

    async def close(self) -> None:
        """Close the pool of the running event loop."""
        await self._pools.close()
