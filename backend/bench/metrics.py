"""What counting adds to one request, in CPU time: for one process, for several, and where nobody counts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from app.exposition import FOLDER, exposition, shared_folder
from app.metrics import Metrics
from app.observer import Observer
from app.server_timing import TimedMetrics
from bench.figures import Cost, Figure, table, timed

ROUNDS = 15
REQUESTS = 5000  # in a round
_GOAL = 10

#: What is measured in a process of its own: whether it has the folder, and who hears.
_KINDS: dict[str, tuple[bool, Callable[[], Observer]]] = {
    "nobody counts": (False, Observer),
    "one process": (False, Metrics),
    "one of several": (True, Metrics),
    "one of several, Server-Timing on": (True, TimedMetrics),
}


def measure() -> list[Figure]:
    """Measure each kind in every round, one after the other; in a quarter of a minute."""
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in _KINDS}
    with shared_folder():
        for _ in range(ROUNDS):
            for kind, (several, _observer) in _KINDS.items():
                rounds[kind].append(_in_a_process(kind, several=several))
    figures = [
        Figure(f"a request, {kind}", "us", [one["request"] for one in found], _GOAL)
        for kind, found in rounds.items()
    ]
    scrapes = [one["scrape"] for one in rounds["one of several"]]
    return [*figures, Figure("a scrape, of one process among several", "us", scrapes)]


def one_request(observer: Observer) -> None:
    """Tell what a request that reads a list tells: the hooks of middleware, verifier and database."""
    started = time.perf_counter()
    observer.request_began()
    observer.token_known(time.perf_counter())
    began = time.perf_counter()
    connected = time.perf_counter()
    observer.statement_ended(began, connected)
    observer.request_ended("GET", "/tasks", 200, time.perf_counter() - started)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(_costs(_KINDS[sys.argv[1]][1]())))
    else:
        print(table(measure()))


def _in_a_process(kind: str, *, several: bool) -> dict[str, float]:
    """Measure in a new process: the client library decides where values live when it is imported."""
    environment = {name: value for name, value in os.environ.items() if several or name != FOLDER}
    done = subprocess.run(  # noqa: S603 - this very module
        [sys.executable, "-m", "bench.metrics", kind],
        env=environment,
        check=True,
        capture_output=True,
    )
    costs: dict[str, float] = json.loads(done.stdout)
    return costs


def _costs(observer: Observer) -> dict[str, float]:
    """Microseconds of CPU for a request, and for a scrape."""
    request, scrape = Cost(), Cost()
    for _ in range(REQUESTS // 10):
        one_request(observer)
    with timed(request):
        for _ in range(REQUESTS):
            one_request(observer)
    if isinstance(observer, Metrics):
        exposition(observer)
        with timed(scrape):
            exposition(observer)
    return {"request": request.cpu / REQUESTS, "scrape": scrape.cpu}


if __name__ == "__main__":
    main()
