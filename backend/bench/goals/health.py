"""How soon health answers: on an idle server, and beside 100 connections that list tasks without a pause."""

from bench.figures import Figure
from bench.goals.server import Server, alone, serving
from bench.load import Load, Run, load
from bench.matrix import Target, warm_up
from bench.work import WORKS, raw

ROUNDS, SECONDS = 5, 2.0
CONNECTIONS = 100
_IDLE_MILLISECONDS, _LOADED_MILLISECONDS = 10, 100
_PATHS = ("/health", "/health/live")


def measure(server: Server) -> list[Figure]:
    """Ask one after the other on a connection of its own; each round gives the p99 of some hundreds."""
    with serving(server) as target:
        warm_up([target], [WORKS["list_20"], WORKS["health"]])
        return [figure for path in _PATHS for figure in _figures(target, path)]


def _figures(target: Target, path: str) -> list[Figure]:
    idle, loaded = list[Run](), list[Run]()
    for _ in range(ROUNDS):
        idle.append(_asked(target, path))
        loaded.append(_asked_beside(target, path))
    refused = sum(run.failed for run in idle + loaded)
    return [
        Figure(f"{path}, idle: p99", "ms", [run.p99 for run in idle], _IDLE_MILLISECONDS),
        Figure(f"{path}, full load: p99", "ms", [run.p99 for run in loaded], _LOADED_MILLISECONDS),
        Figure(f"{path}: not 200", "", [refused], 0, always=True),
    ]


def _asked(target: Target, path: str) -> Run:
    return load(target.url, [raw("GET", path)], connections=1, seconds=SECONDS)


def _asked_beside(target: Target, path: str) -> Run:
    requests = WORKS["list_20"].requests(target.url, [])
    with Load(target.url, requests, connections=CONNECTIONS, seconds=1.5 * SECONDS) as full:
        found = _asked(target, path)
        full.run()
    return found


if __name__ == "__main__":
    alone(measure)
