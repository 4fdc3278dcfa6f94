"""One open stream, and the user whose revisions it waits for."""

import asyncio

from app.auth import SignIn
from app.errors import Ending


class Listener:
    """One open stream. It hears of the newest revision only: who reads slowly misses those in between."""

    __slots__ = ("_followed", "_heard", "_sign_in", "_waiting", "ending")

    def __init__(self, followed: "Followed", sign_in: SignIn) -> None:
        self._followed = followed
        self._sign_in = sign_in
        self._waiting: asyncio.Future[None] | None = None
        self._heard: int | None = None
        self.ending: Ending | None = None

    def start(self, current: int, heard: int | None) -> None:
        """Begin at the revision that the user is at; one that was `heard` before is not told again."""
        self._followed.tell(current)
        self._heard = heard

    def wake(self, ending: Ending | None = None) -> None:
        """Let it look for a new revision, or end."""
        self.ending = self.ending or ending
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> int | None:
        """Return the user's revision as soon as it is another than the one heard last; None at the end.

        Before anything is told the sign-in is looked at again, so nobody hears of changes after signing out.
        """
        while self.ending is None:
            if self._followed.revision == self._heard and self._sign_in.seconds_left > 0:
                await self._wait()
                continue
            self.ending = await self._sign_in.ending() or self.ending
            if self.ending is None and self._followed.revision != self._heard:
                self._heard = self._followed.revision
                return self._heard
        return None

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()  # an Event has three times the size
        end = loop.call_later(self._sign_in.seconds_left, self.wake)
        try:
            await self._waiting
        finally:
            end.cancel()


class Followed:
    """A user who is listened to: the newest revision that is known here, and the open streams."""

    __slots__ = ("_was_lower", "listeners", "revision")

    def __init__(self) -> None:
        self.revision = 0
        self._was_lower = False
        self.listeners: set[Listener] = set()

    def tell(self, revision: int) -> None:
        """Wake the streams; a revision that is not newer wakes none."""
        if revision > self.revision:
            self.revision = revision
            for listener in self.listeners:
                listener.wake()

    def polled(self, revision: int) -> None:
        """Take the database's word for it, also for a lower one if it says so twice.

        Once may be an answer from before a write that was told here meanwhile. Twice is another database: a
        backup was restored.
        """
        if revision < self.revision and self._was_lower:
            self.revision = 0
        self._was_lower = revision < self.revision
        self.tell(revision)
