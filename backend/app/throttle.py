"""Fewer statements at the same time while this process is what everybody waits for, and not the database.

What it does for many requests by turns costs more than one after the other: each of them finds the
processor's caches full of the others' (lists of 1,000: a fifth more by ten than by two; decision 0022).
"""

import time
from collections.abc import Callable
from pathlib import Path

#: Linux: nanoseconds on a processor, nanoseconds of waiting for one, and how often (Documentation/scheduler/
#: sched-stats.rst). The first is not up to date while the thread runs.
_SCHEDULED = Path("/proc/thread-self/schedstat")

#: Shares of its time in which a thread has something to do: above the first everybody waits for it, below the
#: second it waits for others too.
_FULL, _NOT_FULL = 0.95, 0.9

#: While one waits for the database, another is served.
_FEWEST = 2


def busy_seconds() -> float:
    """Return for how long this thread has had something to do: it had a processor, or waited for one.

    It often waits on a machine that has other work. Only Linux tells how long; elsewhere what is returned is
    the time on a processor.
    """
    try:
        waited = int(_SCHEDULED.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        waited = 0
    return time.thread_time() + waited


class Throttle:
    """How many statements may be at work: as many as there are slots, or as few as keep the process busy.

    There is one fewer after each look that found the process busy, and half of what was taken away comes back
    after one that did not: then the database is what is waited for, and that has to be found out soon.
    """

    def __init__(
        self,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = busy_seconds,
    ) -> None:
        self.open = self._slots = slots
        self._clock, self._busy = clock, busy
        self._since, self._was_busy = clock(), busy()

    def look(self) -> None:
        """See how busy the thread was since the last look; to be called regularly while anybody waits."""
        now, busy = self._clock(), self._busy()
        share = (busy - self._was_busy) / max(now - self._since, 1e-9)
        self._since, self._was_busy = now, busy
        if share > _FULL:
            self.open = max(self.open - 1, min(self._slots, _FEWEST))
        elif share < _NOT_FULL:
            self.open = self._slots - (self._slots - self.open) // 2

    def end(self) -> None:
        """Hear that nobody waits any more."""
        self.open = self._slots
