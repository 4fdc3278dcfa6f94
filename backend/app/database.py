"""The way to PostgreSQL: statements compiled once, and the pool that runs them."""

import asyncio
import math
import time
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import ClauseElement, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql import asyncpg as sqlalchemy_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

from app.config import Settings
from app.database_errors import is_unavailable, kind
from app.database_url import Target
from app.errors import TooLate, Unavailable
from app.observer import NOBODY, Observer
from app.pools import Pools
from app.slots import Slots

Row: TypeAlias = asyncpg.Record

_DIALECT = sqlalchemy_asyncpg.dialect()  # type: ignore[no-untyped-call]

#: Neon suspends after 300 s without queries and takes every connection with it (research: postgres B3).
_IDLE_SECONDS = 240
_LOOK_SECONDS = 0.01


class Statement:
    """One SQL statement, compiled once, at import.

    `expression` stays readable for the tests, which walk it; `sql` is what goes over the wire.
    """

    def __init__(self, expression: ClauseElement) -> None:
        compiled = expression.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("a Statement reads or writes rows")
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise TypeError("a column's Python default has no place here: give every value by name")
        self.expression = expression
        self.sql = compiled.string
        self._names = tuple(compiled.positiontup or ())
        self._constants = {
            name: parameter.effective_value
            for name, parameter in compiled.binds.items()
            if not parameter.required
        }

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return `values` in the order of the placeholders; raises KeyError when one is missing."""
        given = self._constants | values
        return [given[name] for name in self._names]


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
        limits = settings.database_pool_size, settings.database_queue, settings.database_queue_wait
        arguments = target.arguments() | {
            "min_size": 0,
            "max_size": settings.database_pool_size,
            "max_inactive_connection_lifetime": _IDLE_SECONDS,
            "statement_cache_size": 100 if keep_prepared else 0,
        }
        self._pools = Pools(arguments, lambda: Slots(*limits))
        self._check: asyncio.Task[bool] | None = None
        self.last_used = float("-inf")  #: when it answered last, by time.monotonic()

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """Run one statement of the service's own and return its rows; it waits its turn, however many do.

        Raises Unavailable when the database can't be reached, refuses service or takes longer than
        DATABASE_TIMEOUT seconds, waiting for a connection included.
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
        began, connected = time.perf_counter(), None
        try:
            async with asyncio.timeout(seconds):
                pool = await self._pools.here()
                connection = await pool.take(user, patient=patient)
                connected = time.perf_counter()
                rows = await pool.fetch(connection, user, statement.sql, arguments)
                self.last_used = time.monotonic()
                return rows
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._observer.statement_failed(kind(error))
            if is_unavailable(error):
                raise Unavailable from error
            raise
        finally:
            self._observer.statement_ended(began, connected)

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

    @property
    def room(self) -> int:
        """How many more statements can be taken on in the running event loop, to be run or to wait."""
        return self._pools.room

    async def clock(self) -> datetime:
        """Return what time it is by the database's clock."""
        rows = await self.fetch(_CLOCK)
        now: datetime = rows[0]["now"]
        return now

    async def close(self) -> None:
        """Close the pool of the running event loop."""
        await self._pools.close()
