"""A bucket for each key, and the one kind of them that needs nothing: in the memory of this process."""

import time
from collections.abc import Callable
from typing import Protocol

from app.limiting.policy import Policy, Standing
from app.limiting.recent import Recent

#: Buckets in each of two generations: a bound for memory that only a flood of keys gets to.
MOST = 50_000


def microseconds() -> int:
    """Read a clock that nobody can set back."""
    return time.monotonic_ns() // 1000


class Buckets(Protocol):
    """Buckets by key, all of one policy. Neither method ever fails."""

    policy: Policy

    async def take(self, key: str, price: int) -> Standing:
        """Take a price, or nothing if that is more than there is."""

    def give_back(self, key: str, amount: int) -> None:
        """Return so much of a price that was taken."""


class MemoryBuckets:
    """Buckets of this process. A full one is none: who has not called for a while takes no memory."""

    def __init__(self, policy: Policy, clock: Callable[[], int] = microseconds, most: int = MOST) -> None:
        self.policy = policy
        self._clock = clock
        #: When each bucket is full. What was not charged for as long as filling takes, is.
        self._full_at: Recent[int] = Recent(policy.depth, most)

    def __len__(self) -> int:
        return len(self._full_at)

    async def take(self, key: str, price: int) -> Standing:
        return self.take_now(key, price)

    def take_now(self, key: str, price: int) -> Standing:
        """Do the same at once: nothing has to be waited for."""
        now = self._clock()
        missing = self._full_at.get(key, now) - now
        standing = self.policy.charge(max(missing, 0), price)
        self._full_at.put(key, now + standing.missing, now)
        return standing

    def give_back(self, key: str, amount: int) -> None:
        now = self._clock()
        self._full_at.put(key, self._full_at.get(key, now) - amount * self.policy.tenth, now)
