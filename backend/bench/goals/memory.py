"""What one worker has in memory: at its start, and after a million requests of all kinds."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.goals.server import Server, alone, serving
from bench.load import load
from bench.matrix import Target
from bench.processes import resident_megabytes
from bench.work import WORKS

REQUESTS, QUICK_REQUESTS = 1_000_000, 100_000
CONNECTIONS = 100
_TURNS = 400  # through all kinds, so that every user has had theirs
_AT_A_TIME = 10.0  # seconds of one run
_START_MEGABYTES, _END_MEGABYTES = 90, 130

#: Out of ten requests; so many of each that a million is had in minutes.
_MIX = {"unchanged": 5, "get": 2, "list_20": 1, "create": 1, "patch": 1}


def measure(server: Server) -> list[Figure]:
    """Read the memory (RSS) of the worker between runs, until all requests are sent."""
    wanted = QUICK_REQUESTS if server.quick else REQUESTS
    with serving(server) as target:
        (worker,) = target.pids()
        start, own = resident_megabytes(worker), resident_megabytes(worker, "Pss")
        sent, grown = _sent(target, worker, wanted)
    return [
        Figure("memory of one worker at its start", "MB", [start], _START_MEGABYTES, always=True),
        Figure("the same, with its part only of what it shares", "MB", [own]),
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
    """Take the kinds by turns, in their shares."""
    kinds = [(share, WORKS[name].requests(url, [])) for name, share in _MIX.items()]
    return [
        requests[(number * share + at) % len(requests)]
        for number in range(_TURNS)
        for share, requests in kinds
        for at in range(share)
    ]


if __name__ == "__main__":
    alone(measure)
