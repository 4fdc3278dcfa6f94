"""A figure that was measured in rounds, its goal, and the table that shows many."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

_SMALL = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, and what it may be at most, or must be at least; without a goal it is only told."""

    name: str
    unit: str
    rounds: Sequence[float]
    goal: float | None = None
    #: A count must keep its goal in every round, a time on a shared machine in the median.
    always: bool = False
    at_least: bool = False

    @property
    def measured(self) -> float:
        return median(self.rounds)

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        if self.at_least:
            return (min(self.rounds) if self.always else self.measured) >= self.goal
        return (max(self.rounds) if self.always else self.measured) <= self.goal

    @property
    def wanted(self) -> str:
        """Say the goal; nothing where there is none."""
        return "" if self.goal is None else f"{'>=' if self.at_least else '<='} {number(self.goal)}"


@dataclass(slots=True)
class Cost:
    """What a stretch of work took, in µs: CPU time of this process, and time on the clock."""

    cpu: float = 0
    wall: float = 0


@contextmanager
def timed(cost: Cost) -> Iterator[Cost]:
    """Add what is done meanwhile to a cost."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    yield cost
    cost.cpu += (time.process_time_ns() - cpu) / 1000
    cost.wall += (time.perf_counter_ns() - wall) / 1000


def table(figures: Sequence[Figure]) -> str:
    """Lay the figures out for a terminal: names to the left, numbers to the right."""
    rows = [("what", "median", "min to max", "unit", "goal", "met"), *map(_row, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join((name.ljust(widths[0]), *map(str.rjust, cells, widths[1:]))) for name, *cells in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    spread = f"{number(min(figure.rounds))} to {number(max(figure.rounds))}"
    met = {True: "yes", False: "NO", None: "-"}[figure.met]
    return figure.name, number(figure.measured), spread, figure.unit, figure.wanted or "-", met


def number(value: float) -> str:
    """Write a number with as many digits as mean something."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= _SMALL else f"{value:,.2f}"
