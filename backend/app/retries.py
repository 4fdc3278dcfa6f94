"""Whether a statement that failed is tried again: where that can't do anything twice, and not too often."""

import asyncio
import random

from app.database_errors import is_lost, is_undone, may_have_been_sent

#: How often one statement is tried again that found no server, and one that PostgreSQL has undone.
_MOST_LOST = 1
_MOST_UNDONE = 2

#: Seconds before the next try; random, so that those who lost a connection together come back one by one.
_PAUSE = (0.025, 0.1)

#: Of all statements, how many may be tried again, and how many that is at the most at once. A database that
#: fails because it has too much to do is not helped by more.
_SHARE = 0.1
_SAVED = 20.0


class Retries:
    """The budget of a database, and the rules.

    A read is tried again when its connection was lost. A write only when it provably was not done: nothing
    was sent, or PostgreSQL says that it rolled it back (each of our statements is a whole transaction).
    """

    def __init__(self) -> None:
        self._left = _SAVED

    def earn(self) -> None:
        """Add a statement's share to the budget."""
        if self._left < _SAVED:
            self._left += _SHARE

    def allow(self, error: Exception, failures: int, *, writes: bool, sent: bool) -> bool:
        """Whether to try again after so many failures, which takes from the budget; `sent` to a server."""
        if is_undone(error):
            allowed = failures <= _MOST_UNDONE
        else:
            done = writes and sent and may_have_been_sent(error)
            allowed = is_lost(error) and failures <= _MOST_LOST and not done
        if not allowed or self._left < 1:
            return False
        self._left -= 1
        return True

    @staticmethod
    async def pause() -> None:
        """Wait before the next try."""
        await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311 - no secret


def may_be_done(error: BaseException, *, writes: bool, sent: bool) -> bool:
    """Whether a statement that failed may have changed something all the same: its answer was lost."""
    return writes and sent and is_lost(error) and may_have_been_sent(error)
