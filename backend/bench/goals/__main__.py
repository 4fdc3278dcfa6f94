"""Measure all goals of this package: `python -m bench.goals`, with --quick for a tenth of the long ones."""

from bench.goals.everything import measure
from bench.goals.server import alone

if __name__ == "__main__":
    alone(measure)
