"""The rate limits of an application, as its settings have them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from app.config import Settings
from app.limiting.addresses import Addresses
from app.limiting.buckets import Buckets, MemoryBuckets, microseconds
from app.limiting.policy import Policy
from app.limiting.shared import SharedBuckets
from app.limiting.store import Store
from app.observer import Observer


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Those of users and those of addresses; None is no limit."""

    users: Buckets | None
    addresses: Addresses | None
    trusted_proxies: int
    store: Store | None
    observer: Observer

    @classmethod
    def of(cls, settings: Settings, observer: Observer, clock: Callable[[], int] = microseconds) -> Self:
        """Make them. Nothing is connected before the first request. A store has a clock of its own."""
        url = settings.rate_limit_redis_url
        store = Store(url, observer) if url else None

        def buckets(name: str, rate: str) -> Buckets | None:
            policy = Policy.of(name, rate, settings.rate_limit_burst)
            if policy is None:
                return None
            return MemoryBuckets(policy, clock) if store is None else SharedBuckets(policy, store)

        tried = buckets("address", settings.rate_limit_address)
        return cls(
            users=buckets("user", settings.rate_limit),
            addresses=Addresses(tried, clock) if tried is not None else None,
            trusted_proxies=settings.trusted_proxies,
            store=store,
            observer=observer,
        )

    async def open(self) -> None:
        """Connect, so that no request has to; without it the first ones do."""
        if self.store is not None:
            await self.store.open()

    async def close(self) -> None:
        if self.store is not None:
            await self.store.close()
