"""Addresses that credentials were refused for, and those that are closed for the moment."""

from collections.abc import Callable

from app.limiting.buckets import MOST, Buckets, microseconds
from app.limiting.policy import REQUEST, Standing
from app.limiting.recent import Recent


class Addresses:
    """Counts refused credentials by address, and remembers who has used up what an address may try.

    So a closed address is known without asking the buckets, which may be in another process.
    """

    def __init__(self, buckets: Buckets, clock: Callable[[], int] = microseconds) -> None:
        self._buckets = buckets
        self._clock = clock
        self._open_at: Recent[int] = Recent(buckets.policy.depth, MOST)
        self._last = 0

    @property
    def any_closed(self) -> bool:
        """Whether there is anything to ask `closed` for; nearly always there is not."""
        return self._last != 0 and self._clock() < self._last

    def closed(self, address: str) -> Standing | None:
        """Tell how long an address is closed; None if it is not."""
        wait = self._open_at.get(address, 0) - self._clock()
        return self._buckets.policy.empty(wait) if wait > 0 else None

    async def refused(self, address: str) -> Standing:
        """Count a refused credential; close the address if it had no more to try."""
        standing = await self._buckets.take(address, REQUEST)
        if standing.wait:
            now = self._clock()
            self._open_at.put(address, now + standing.wait, now)
            self._last = max(self._last, now + standing.wait)
        return standing
