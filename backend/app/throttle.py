"""Fewer statements at the same time while this process is what everybody waits for, and not the database.

What it does for many requests by turns costs more than one after the other: each of them finds the
processor's caches full of the others' (lists of 1,000: a fifth more by ten than by two; decision 0022).
"""

import time
from collections.abc import Callable

#: Shares of its time in which a thread has the processor: above the first everybody waits for it, below the
#: second it waits for others too.
_FULL, _NOT_FULL = 0.95, 0.9

#: While one waits for the database, another is served.
_FEWEST = 2


class Throttle:
    """How many statements may be at work: as many as there are slots, or as few as keep the process busy.

    There is one fewer after each look that found the process busy, and half of what was taken away comes back
    after one that did not: then the database is what is waited for, and that has to be found out soon. A
    machine that has other things to do is no reason: on one nobody has the processor always.
    """

    def __init__(
        self,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self.open = self._slots = slots
        self._clock, self._worked = clock, worked
        self._since, self._had = clock(), worked()

    def look(self) -> None:
        """See how busy the thread was since the last look; to be called regularly while anybody waits."""
        now, had = self._clock(), self._worked()
        share = (had - self._had) / max(now - self._since, 1e-9)
        self._since, self._had = now, had
        if share > _FULL:
            self.open = max(self.open - 1, min(self._slots, _FEWEST))
        elif share < _NOT_FULL:
            self.open = self._slots - (self._slots - self.open) // 2

    def end(self) -> None:
        """Hear that nobody waits any more."""
        self.open = self._slots
