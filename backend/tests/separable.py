"""Whether two kinds of request can be told apart by how long they take: pairs, in an order drawn for each.

No distribution is assumed. Wilcoxon's signed ranks ask whether the differences lean to one side; the median
of the differences, with the bounds that the signs give it, says how far.
"""

import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

#: As often a measurement of two equal things may be taken for that of different ones, at most.
ALPHA = 0.001

NORMAL = statistics.NormalDist()

Request: TypeAlias = Callable[[], Awaitable[object]]


class Difference(NamedTuple):
    """How much longer the first of each pair took: the median, and its bounds at ALPHA, in microseconds."""

    probability: float  #: of as much or more, if there were none
    median: float
    low: float
    high: float

    @property
    def side(self) -> int:
        """Which takes longer for sure: 1 the first, -1 the second, 0 nobody can say."""
        return 0 if self.probability >= ALPHA else int(math.copysign(1, self.median))

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
    """Say what paired differences tell; many enough for the normal approximation (20 and more)."""
    ordered = sorted(differences)
    number = len(ordered)
    apart = NORMAL.inv_cdf(1 - ALPHA / 2) * math.sqrt(number) / 2
    place = max(0, math.floor(number / 2 - apart))
    return Difference(
        signed_ranks(differences), statistics.median(ordered), ordered[place], ordered[number - 1 - place]
    )


def signed_ranks(differences: Sequence[float]) -> float:
    """Return the two-sided probability of Wilcoxon's signed rank test; ties share their ranks."""
    found = sorted((difference for difference in differences if difference), key=abs)
    number, positive, ties, place = len(found), 0.0, 0, 0
    while place < number:
        end = place
        while end < number and abs(found[end]) == abs(found[place]):
            end += 1
        same = end - place
        positive += (place + end + 1) / 2 * sum(difference > 0 for difference in found[place:end])
        ties += same**3 - same
        place = end
    variance = number * (number + 1) * (2 * number + 1) / 24 - ties / 48
    if not variance:
        return 1.0
    deviation = (positive - number * (number + 1) / 4) / math.sqrt(variance)
    return 2 * NORMAL.cdf(-abs(deviation))
