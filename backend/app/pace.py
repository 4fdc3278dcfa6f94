"""How fast those who wait are called."""

from collections.abc import Callable

#: How much of the pace is what was seen last.
_NEWEST = 1 / 16

#: Seconds for which the pace is known once nobody waits any more: what held up those of then is over.
KNOWN_SECONDS = 1


class Pace:
    """Seconds between two calls while somebody waits, as they are lately."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._called_at = 0.0

    def begin(self) -> None:
        """Hear that somebody waits, who is the first."""
        self._seconds = self.seconds(waiting=False)
        self._called_at = self._clock()

    def call(self) -> None:
        """Hear that somebody was called."""
        now = self._clock()
        self._seconds += (now - self._called_at - self._seconds) * _NEWEST
        self._called_at = now

    def seconds(self, *, waiting: bool) -> float:
        """Return the pace, which is known while anybody is waiting and a little longer; 0 if it is not."""
        known = waiting or self._clock() - self._called_at < KNOWN_SECONDS
        return self._seconds if known else 0
