"""Who has slots, and since when."""

import time
from collections import defaultdict
from collections.abc import Callable

#: A statement that takes longer, in seconds, waits in the database, and gives this process nothing to do.
#: Shorter than DATABASE_QUEUE_WAIT, so that who waits behind such ones is let through in time.
_HANGS_SECONDS = 0.15


class Held:
    """Slots that are taken, by the name of a user or by None, which is this service itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = defaultdict[str | None, list[float]](list)  # the oldest first
        self.count = 0
        #: How many of them hung when that was looked at last.
        self.hanging = 0

    def take(self, user: str | None) -> None:
        self._since[user].append(self._clock())
        self.count += 1

    def give_back(self, user: str | None) -> None:
        """Give back the newest of a user's: the oldest is the one that hangs."""
        self._since[user].pop()
        if not self._since[user]:
            del self._since[user]
        self.count -= 1

    def by(self, user: str | None) -> int:
        """Return how many count against a user; those of the service itself against nobody."""
        return 0 if user is None else len(self._since.get(user, ()))

    def look(self) -> None:
        """See how many hang."""
        long_ago = self._clock() - _HANGS_SECONDS
        self.hanging = sum(since < long_ago for held in self._since.values() for since in held)
