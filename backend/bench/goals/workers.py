"""Two workers against one: throughput, how busy the machine was, and how many connections each holds.

On two cores with the database and wrk on them too, a core is free for the second worker only where the
database is not asked. Elsewhere the CPU time of the workers says what they would do with a core for each.
"""

import time
from collections import defaultdict
from collections.abc import Sequence

from bench.cpu import busy_seconds
from bench.figures import Figure
from bench.goals.server import Server, alone, port_of, serving
from bench.load import Load, LoadError
from bench.matrix import Cost, Target, measure_one, rotated, warm_up
from bench.processes import connections, workers
from bench.work import WORKS, Work, raw

ROUNDS, SECONDS = 5, 1.0
CONNECTIONS = 100
_GAIN, _UNEVEN = 1.6, 20
_LOOK_SECONDS, _HELD_SECONDS = 4, 5

_LIVE = Work("live", "route without database", lambda _url, _doomed: [raw("GET", "/health/live")])
_WORKS = (_LIVE, WORKS["list_20"], WORKS["list_1000"])


def measure(server: Server) -> list[Figure]:
    """Let one worker and two take turns at the same work."""
    with serving(server, WORKERS="1") as one, serving(server, WORKERS="2") as two:
        _until_all_serve(two)
        warm_up([one, two], [WORKS["list_20"]])
        figures = [figure for work in _WORKS for figure in _compared(work, one, two)]
        return [*figures, _unevenness(two)]


def _until_all_serve(target: Target) -> None:
    """Wait for the second worker: the first answers alone for a moment."""
    while min(_held(target)) == 0 or len(_workers(target)) == 1:
        time.sleep(0.1)


def _compared(work: Work, one: Target, two: Target) -> list[Figure]:
    costs, busy = defaultdict[Target, list[Cost]](list), defaultdict[Target, list[float]](list)
    for number in range(ROUNDS):
        for target in rotated([one, two], number):
            before = busy_seconds()
            costs[target].append(measure_one(target, work, CONNECTIONS, SECONDS))
            worked, idled = (now - then for now, then in zip(busy_seconds(), before, strict=True))
            busy[target].append(100 * worked / (worked + idled))
    pairs = list(zip(costs[one], costs[two], strict=True))
    return [
        *_gains(work, pairs),
        Figure(f"{work.title}, one worker: processors busy", "%", busy[one]),
        Figure(f"{work.title}, two workers: processors busy", "%", busy[two]),
    ]


def _gains(work: Work, pairs: Sequence[tuple[Cost, Cost]]) -> list[Figure]:
    """Hold against the goal what was seen where a core was free, and what one for each worker would give.

    The second is computed: two workers can't do more than twice as much, and do less by what a request of
    theirs costs more.
    """
    seen = [two.run.per_second / one.run.per_second for one, two in pairs]
    free = [min(2, 2 * one.app / two.app) for one, two in pairs]
    goal = _GAIN if work is _LIVE else None
    return [
        Figure(f"{work.title}, two workers over one: throughput", "x", seen, goal, at_least=True),
        Figure(
            f"{work.title}, two workers over one: with a core each, by their CPU time",
            "x",
            free,
            _GAIN,
            at_least=True,
        ),
    ]


def _unevenness(target: Target) -> Figure:
    spread = [unevenness(_held(target)) for _ in range(2 * ROUNDS)]
    return Figure("100 connections: fullest worker above the mean", "%", spread, _UNEVEN, always=True)


def unevenness(held: Sequence[int]) -> float:
    """Return by how many percent of the mean the fullest worker is above it."""
    return 100 * (max(held) * len(held) / sum(held) - 1)


def _workers(target: Target) -> list[int]:
    first, *_ = target.pids()
    return workers(first)


def _held(target: Target) -> list[int]:
    """Connect anew, and count which worker holds how many connections when all have been accepted."""
    requests, port = _LIVE.requests(target.url, []), port_of(target)
    held = list[int]()
    with Load(target.url, requests, connections=CONNECTIONS, seconds=_HELD_SECONDS):
        deadline = time.monotonic() + _LOOK_SECONDS
        while sum(held) != CONNECTIONS and time.monotonic() < deadline:
            held = [connections(worker, port) for worker in _workers(target)]
    if sum(held) != CONNECTIONS:
        raise LoadError(f"{sum(held)} of {CONNECTIONS} connections were held")
    return held


if __name__ == "__main__":
    alone(measure)
