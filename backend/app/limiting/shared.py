"""Buckets that several processes share, and those of this process while they can't be had."""

from app.limiting.buckets import MOST, MemoryBuckets, microseconds
from app.limiting.policy import Policy, Standing
from app.limiting.recent import Recent
from app.limiting.store import Store


class SharedBuckets:
    """Buckets in a store. It is asked once for a request: what is given back goes along with the next one."""

    def __init__(self, policy: Policy, store: Store) -> None:
        self.policy = policy
        self._store = store
        self._own = MemoryBuckets(policy)
        #: Tenths of a request that a key is owed. A bucket is full by itself before they are forgotten.
        self._owed: Recent[int] = Recent(policy.depth, MOST)

    async def take(self, key: str, price: int) -> Standing:
        owed = self._owed.get(key, 0)
        if owed:
            self._owed.put(key, 0, microseconds())
        policy = self.policy
        known = await self._store.charge(
            f"{policy.name}:{key}", price * policy.tenth, policy.depth, owed * policy.tenth
        )
        if known is not None:
            return Standing(policy, *known)
        if owed:
            self._own.give_back(key, owed)
        return self._own.take_now(key, price)

    def give_back(self, key: str, amount: int) -> None:
        self._owed.put(key, self._owed.get(key, 0) + amount, microseconds())
