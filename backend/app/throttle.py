"""Fewer slots while this process is what everybody waits for, and not the database.

What it does for many requests by turns costs more than one after the other: each of them finds the
processor's caches full of the others' (lists of 1,000: a fifth more by ten than by two; decision 0022).
"""

import time
from collections.abc import Callable

#: Long enough to say what is usual, in seconds.
_WINDOW = 0.05

#: Of that time this thread has had the processor: more, and everybody waits for it; less, and it waits too.
_FULL, _NOT_FULL = 0.95, 0.9

#: While one waits for the database, another is served.
_FEWEST = 2


class Throttle:
    """How many of the slots are closed: none, or all but as few as keep the process busy.

    They are closed one by one and opened by halves, so that it is found out soon that the database is what is
    waited for. A machine that has other things to do is no reason: on one nobody has the processor always.
    """

    def __init__(
        self,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self.closed = 0
        self._most = max(0, slots - _FEWEST)
        self._clock, self._worked = clock, worked
        self._since, self._had = clock(), worked()

    def look(self) -> bool:
        """See how busy the running thread was since it was last seen; return whether slots were opened.

        To be called while somebody waits for a slot.
        """
        now = self._clock()
        passed = now - self._since
        if passed < _WINDOW:
            return False
        had = self._worked()
        share = (had - self._had) / passed
        self._since, self._had = now, had
        before = self.closed
        if share > _FULL:
            self.closed = min(before + 1, self._most)
        elif share < _NOT_FULL:
            self.closed = before // 2
        return self.closed < before
