"""A token bucket as whole numbers: what it holds, what a price does to it, and when it holds enough again.

A bucket is one number, the moment when it will be full (the generic cell rate algorithm, ITU-T I.371): what
is missing flows back at an even rate, so that moment says all. Whole microseconds leave nothing to rounding.
"""

from dataclasses import dataclass
from typing import Self

#: Prices, in tenths of a request. A batch has a price of its own: it may hold a hundred changes.
REQUEST, UNCHANGED, BATCH = 10, 1, 50

_SECOND = 1_000_000
_PERIODS = {"second": _SECOND, "minute": 60 * _SECOND, "hour": 3600 * _SECOND}

RawHeaders = list[tuple[bytes, bytes]]


class Policy:
    """How many requests at once, and how fast they flow back; `name` is how callers are told of it."""

    __slots__ = ("_announced", "burst", "depth", "name", "tenth")

    def __init__(self, name: str, burst: int, tenth: int) -> None:
        self.name = name
        self.burst = burst
        #: Microseconds in which a tenth of a request flows back.
        self.tenth = tenth
        #: Microseconds in which an empty bucket gets full.
        self.depth = burst * REQUEST * tenth
        self._announced = f'"{name}";q={burst};w={seconds(self.depth)}'.encode()

    @classmethod
    def of(cls, name: str, rate: str, burst: int) -> Self | None:
        """Make one of settings, of `300/minute` say; None of `off`."""
        if rate == "off":
            return None
        number, _, period = rate.partition("/")
        return cls(name, burst, -(-_PERIODS[period] // (int(number) * REQUEST)))  # up: never more than asked

    def charge(self, missing: int, price: int) -> "Standing":
        """Take a price out of a bucket that is full in `missing` microseconds, or tell how long to wait."""
        cost = price * self.tenth
        wait = missing + cost - self.depth
        return Standing(self, missing, wait) if wait > 0 else Standing(self, missing + cost, 0)

    def empty(self, wait: int) -> "Standing":
        """Tell of a bucket that has the next request after `wait` microseconds."""
        return Standing(self, self.depth - REQUEST * self.tenth + wait, wait)

    def headers(self, missing: int, wait: int) -> RawHeaders:
        """Write draft-ietf-httpapi-ratelimit-headers-11: what is left, and when there is more than that.

        In a refusal that is when what was asked for is there, as in `Retry-After`.
        """
        left = max(self.depth - missing, 0) // (REQUEST * self.tenth)
        more = wait or missing - self.depth + (left + 1) * REQUEST * self.tenth
        return [
            (b"ratelimit-policy", self._announced),
            (b"ratelimit", f'"{self.name}";r={left};t={seconds(more)}'.encode()),
        ]


@dataclass(slots=True)
class Standing:
    """How a caller stands after a request: what the bucket lacks, and how long to wait if it was refused.

    Both in microseconds.
    """

    policy: Policy
    missing: int
    wait: int

    @property
    def retry_after(self) -> int:
        """Whole seconds after which the same is admitted, if nobody takes what flows back meanwhile."""
        return seconds(self.wait)

    def give_back(self, amount: int) -> None:
        """Stand as if the price had been less, by so many tenths of a request."""
        self.missing = max(self.missing - amount * self.policy.tenth, 0)

    def headers(self) -> RawHeaders:
        return self.policy.headers(self.missing, self.wait)


def seconds(microseconds: int) -> int:
    """Round up: who comes back after so many seconds comes late enough."""
    return -(-microseconds // _SECOND)
