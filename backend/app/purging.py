"""The purge: when it runs by itself, and with what it is made ready."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.config import Settings
from app.database import Database
from app.errors import Unavailable
from app.migrations import unreachable
from app.observability import where
from app.queries.purge import Purge

KEY_RETENTION_DAYS = 30

#: A statement that looks through all that is due may take longer than a request may wait.
_STATEMENT_SECONDS = 60

_DAY = 24 * 3600

_logger = logging.getLogger("app")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When `serve` purges, in seconds by `clock`, which must be the one that `Database.last_used` has."""

    first: float = 300  # at least that long after the start, at most twice: not all processes at once
    every: float = _DAY
    again: float = 3600  # after a failure
    look: float = 60
    awake: float = 60  # a database that answered that recently does not sleep
    clock: Callable[[], float] = time.monotonic


@asynccontextmanager
async def prepared(url: str, settings: Settings) -> AsyncGenerator[Purge]:
    """Make ready to remove what is due now, over one connection that nobody else uses.

    Raises Unavailable from inside when the database can't be reached or refuses service.
    """
    now = datetime.now(UTC)
    patient = {"database_pool_size": 1, "database_timeout": _STATEMENT_SECONDS}
    database = Database(url, settings.model_copy(update=patient))
    try:
        yield Purge(
            database,
            deleted_before=now - timedelta(days=settings.trash_retention_days),
            answered_before=now - timedelta(days=KEY_RETENTION_DAYS),
        )
    except Unavailable as error:
        raise unreachable(error.__cause__ or error) from error.__cause__
    finally:
        await database.close()


@asynccontextmanager
async def purged_daily(url: str, settings: Settings, used: Database, rhythm: Rhythm) -> AsyncGenerator[None]:
    """Purge once a day, in the background, for as long as this is open.

    Only while requests use the database anyway: `used` is theirs. It neither wakes one that sleeps nor keeps
    one awake (a purge of its own connection is no use of it).
    """
    task = asyncio.create_task(_purge_daily(url, settings, used, rhythm))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _purge_daily(url: str, settings: Settings, used: Database, rhythm: Rhythm) -> None:
    due = rhythm.clock() + rhythm.first * random.uniform(1, 2)  # noqa: S311 - nobody gains by guessing it
    while True:
        await asyncio.sleep(rhythm.look)
        now = rhythm.clock()
        if now >= due and now - used.last_used <= rhythm.awake:
            due = now + (rhythm.every if await _purge(url, settings) else rhythm.again)


async def _purge(url: str, settings: Settings) -> bool:
    """Purge, and tell whether it went well; the service goes on either way."""
    try:
        async with prepared(url, settings) as purge:
            _logger.info("the daily purge removed %s", await purge.run())
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the purge for good
        cause = error.__cause__ or error
        kind, place = type(cause).__qualname__, where(cause)
        _logger.warning("the daily purge failed and is tried again later: %s at %s", kind, place)
        return False
    return True
