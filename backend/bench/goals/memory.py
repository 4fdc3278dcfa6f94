"""What one worker has in memory: at its start, and after a million requests of all kinds."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.goals.server import Server, alone, serving
from bench.load import load
from bench.matrix import Target
from bench.processes import resident_megabytes
from bench.work import WORKS, raw

REQUESTS, QUICK_REQUESTS = 1_000_000, 100_000
CONNECTIONS = 100
_AT_A_TIME = 10.0  # seconds of one run
_START_MEGABYTES, _END_MEGABYTES = 90, 130

#: Out of ten requests; so many of each that a million is had in minutes.
_MIX = {"unchanged": 4, "get": 2, "list_20": 1, "create": 1, "patch": 1}


def measure(server: Server) -> list[Figure]:
    """Read the memory (RSS) of the worker between runs, until all requests are sent."""
    wanted = QUICK_REQUESTS if server.quick else REQUESTS
    with serving(server) as target:
        (worker,) = target.pids()
        start = resident_megabytes(worker)
        sent, grown = _sent(target, worker, wanted)
    return [
        Figure("memory of one worker at its start", "MB", [start], _START_MEGABYTES, always=True),
        Figure(f"memory of one worker up to {sent:,} requests", "MB", grown, _END_MEGABYTES, always=True),
    ]


def _sent(target: Target, worker: int, wanted: int) -> tuple[int, list[float]]:
    requests, sent, grown = _requests(target.url), 0, list[float]()
    while sent < wanted:
        run = load(target.url, requests, connections=CONNECTIONS, seconds=_AT_A_TIME)
        sent += run.completed - run.failed
        grown.append(resident_megabytes(worker))
    return sent, grown


def _requests(url: str) -> Sequence[bytes]:
    """Take the kinds by turns, in their shares; the tenth asks for nothing that there is."""
    kinds = [(works, WORKS[name].requests(url, [])) for name, works in _MIX.items()]
    found = []
    for number in range(400):
        for share, requests in kinds:
            found += [requests[(number * share + at) % len(requests)] for at in range(share)]
        found.append(raw("GET", "/health"))
    return found


if __name__ == "__main__":
    alone(measure)
