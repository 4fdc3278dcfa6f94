"""Whether two kinds of request can be told apart by how long they take: pairs, in an order drawn for each.

No distribution is assumed: the sign test looks at which of a pair took longer, and how far the median of the
differences can be from nothing. Ranks or means would give most weight to moments when the machine was busy.
"""

import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

#: As often two equal things may be taken for different ones, at most.
ALPHA = 0.001

#: Deviations of the normal distribution that ALPHA lies beyond, on both sides.
_DEVIATIONS = statistics.NormalDist().inv_cdf(1 - ALPHA / 2)

Request: TypeAlias = Callable[[], Awaitable[object]]


class Difference(NamedTuple):
    """How many microseconds longer the first of a pair took: the median, and its bounds at ALPHA."""

    median: float
    low: float
    high: float

    @property
    def side(self) -> int:
        """Which takes longer for sure: 1 the first, -1 the second, 0 nobody can say."""
        return (self.low > 0) - (self.high < 0)

    def within(self, bound: float) -> bool:
        """Whether the two can't be told apart, and were looked at well enough to know by how much at most."""
        return self.side == 0 and -bound < self.low <= self.high < bound


async def measure(first: Request, second: Request, pairs: int, draw: random.Random) -> Difference:
    """Ask both, again and again, in pairs."""
    differences = []
    for _ in range(pairs):
        if draw.random() < 0.5:
            one, other = await _microseconds(first), await _microseconds(second)
        else:
            other, one = await _microseconds(second), await _microseconds(first)
        differences.append(one - other)
    return judge(differences)


async def _microseconds(request: Request) -> float:
    began = time.perf_counter_ns()
    await request()
    return (time.perf_counter_ns() - began) / 1000


def judge(differences: Sequence[float]) -> Difference:
    """Say what paired differences tell; many enough (50) to take the binomial distribution for normal."""
    ordered, number = sorted(differences), len(differences)
    place = math.floor(number / 2 - _DEVIATIONS * math.sqrt(number) / 2)
    return Difference(statistics.median(ordered), ordered[place], ordered[number - 1 - place])
