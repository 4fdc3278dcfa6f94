"""Measure all goals of this package: `python -m bench.goals`, with --quick for a tenth of the long ones."""

from bench.figures import Figure
from bench.goals import distance, growth, health, memory, start, tokens, workers
from bench.goals.server import Server, alone
from bench.progress import Progress

_MODULES = (workers, tokens, health, start, memory, growth, distance)


def measure(server: Server) -> list[Figure]:
    """Measure one after the other: each wants the machine for itself."""
    progress, figures = Progress(len(_MODULES)), list[Figure]()
    for module in _MODULES:
        progress.step("goals", module.__name__.rpartition(".")[2])
        figures += module.measure(server)
    progress.end()
    return figures


if __name__ == "__main__":
    alone(measure)
