"""How much a caller may ask for: token buckets, for users and for addresses, in memory or in Redis."""

from app.limiting.policy import BATCH, REQUEST, UNCHANGED, Standing
from app.limiting.proxies import address_of
from app.limiting.rate_limits import RateLimits

__all__ = ["BATCH", "REQUEST", "UNCHANGED", "RateLimits", "Standing", "address_of"]
