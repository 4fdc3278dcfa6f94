"""A straight line through what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """`fixed` for nothing, and `each` for every one more."""

    fixed: float
    each: float

    @classmethod
    def through(cls, points: Mapping[int, float]) -> "Line":
        """Fit by least squares of what is off relative to the measured: else the largest decide alone."""
        return cls._weighted({count: (value, 1 / value**2) for count, value in points.items()})

    @classmethod
    def _weighted(cls, points: Mapping[int, tuple[float, float]]) -> "Line":
        whole = sum(weight for _, weight in points.values())
        middle = sum(count * weight for count, (_, weight) in points.items()) / whole
        height = sum(value * weight for value, weight in points.values()) / whole
        rise = sum(weight * (count - middle) * (value - height) for count, (value, weight) in points.items())
        run = sum(weight * (count - middle) ** 2 for count, (_, weight) in points.items())
        return cls(height - rise / run * middle, rise / run)

    def off(self, points: Mapping[int, float]) -> float:
        """Return by how many percent the worst point is off the line."""
        return max(
            100 * abs(self.fixed + self.each * count - value) / value for count, value in points.items()
        )
