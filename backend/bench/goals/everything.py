"""All goals of this package, one after the other."""

from bench.figures import Figure
from bench.goals import distance, growth, health, memory, start, tokens, workers
from bench.goals.server import Server
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
