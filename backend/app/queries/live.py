"""Who waits in this process for whose next revision; writes here wake them, a poll tells of all others."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import ARRAY, any_, bindparam, select

from app.auth import SignIn
from app.database import Database
from app.errors import Ending, RateLimited
from app.observability import where
from app.observer import NOBODY, Observer
from app.queries.listener import Followed, Listener
from app.queries.tables import LISTS
from app.statement import Statement

_logger = logging.getLogger("app")

_POLL_SECONDS = 1
_RETRY_SECONDS = 5
_END_AT_ONCE = 20
_TOO_MANY = "You have too many event streams open; close one, or try again in a few seconds."
_CANNOT_ASK = "live events: can't ask the database for revisions, and go on trying: %s at %s"

REVISIONS_OF_LISTENERS = Statement(
    select(LISTS.c.user_id, LISTS.c.revision).where(
        LISTS.c.user_id == any_(bindparam("users", type_=ARRAY(LISTS.c.user_id.type)))
    )
)


class _Here:
    """Those who are listened to in one event loop, and the task that asks for their revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failing = False
        self.followed: dict[str, Followed] = {}
        self.poll = asyncio.create_task(self._poll(), name="poll for revisions")

    def end(self) -> None:
        self._end([listener for followed in self.followed.values() for listener in followed.listeners])

    def _end(self, listeners: list[Listener]) -> None:
        """End some now and the others next: of thousands at once none would be through when time is up."""
        for listener in listeners[:_END_AT_ONCE]:
            listener.wake(Ending.SHUTDOWN)
        if len(listeners) > _END_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._end, listeners[_END_AT_ONCE:])

    async def _poll(self) -> None:
        """Ask until cancelled; one question at a time, however long its answer takes."""
        await asyncio.sleep(_POLL_SECONDS)
        while True:
            await asyncio.gather(self._ask(), asyncio.sleep(_POLL_SECONDS))

    async def _ask(self) -> None:
        try:
            rows = await self._database.fetch(REVISIONS_OF_LISTENERS, users=list(self.followed))
        except Exception as error:  # noqa: BLE001 - whatever it is, the streams must not fall silent for ever
            if not self._failing:
                cause = error.__cause__ or error
                _logger.warning(_CANNOT_ASK, type(cause).__qualname__, where(cause))
            self._failing = True
            return
        self._failing = False
        for row in rows:
            if followed := self.followed.get(row["user_id"]):
                followed.polled(row["revision"])


class Listeners:
    """All open streams of a process, by event loop and user. Without any it does nothing."""

    def __init__(self, database: Database, per_user: int, observer: Observer = NOBODY) -> None:
        self._database = database
        self._observer = observer
        self._per_user = per_user
        self._loops: dict[asyncio.AbstractEventLoop, _Here] = {}
        self._ended = False

    @contextmanager
    def listen(self, user_id: str, sign_in: SignIn) -> Iterator[Listener]:
        """Open a stream of a user's revisions; raises RateLimited when the user has too many."""
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops[loop] = _Here(self._database)
        here = self._loops[loop]
        followed = here.followed.setdefault(user_id, Followed())
        if len(followed.listeners) >= self._per_user:
            raise RateLimited(_TOO_MANY, retry_after=_RETRY_SECONDS)
        listener = Listener(followed, sign_in)
        if self._ended:
            listener.wake(Ending.SHUTDOWN)
        followed.listeners.add(listener)
        self._observer.stream_opened()
        try:
            yield listener
        finally:
            self._observer.stream_closed()
            followed.listeners.remove(listener)
            if not followed.listeners:
                del here.followed[user_id]
            if not here.followed:
                del self._loops[loop]
                here.poll.cancel()

    def tell(self, user_id: str, revision: int) -> None:
        """Wake who waits for a user's revisions in the running event loop."""
        here = self._loops.get(asyncio.get_running_loop())
        followed = here and here.followed.get(user_id)
        if followed:
            followed.tell(revision)

    def begin(self) -> None:
        """Let streams last again."""
        self._ended = False

    def end(self) -> None:
        """End all streams, and those still to come: the process ends. Fit for a signal handler."""
        self._ended = True
        for loop, here in list(self._loops.items()):
            with suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(here.end)
