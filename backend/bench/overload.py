"""What is left of the service under 2, 5 and 10 times the load that it can serve, and beside a greedy user.

One instance, alone and behind HAProxy with the configuration that is shipped. The generator is a process of
its own that never waits (bench/open_loop.py). Bound by the database means: every round trip to PostgreSQL
takes 40 ms longer, on a wire of ours. Bound by the processor: lists of 1,000.

A machine's speed may change by a third within seconds. So loads are short, and what is served under one is
compared with the capacity just before and just after it.
"""

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from bench.data import LARGE, SMALL
from bench.figures import Figure, table
from bench.open_loop import OK, PATIENCE_SECONDS, UNAVAILABLE, Answer, Stream, closed, load
from bench.served import database_server
from bench.subjects import SUBJECTS, Subject
from bench.wire import Wire
from bench.work import raw
from tests.balanced import NAMES, balancer
from tests.servers import START_SECONDS, wait_for

TIMES = (2, 5, 10)
_CAPACITY_SECONDS, _SECONDS, _AFTER_SECONDS, _GREEDY_SECONDS = 2, 3, 2.5, 10
_TEXTBOOK_SECONDS = 8  # it refuses nobody: only after a while all have waited for too long
#: A load's first answers take their time to come; what is served is counted from here on.
_WARM_SECONDS = 0.5
_DELAY_SECONDS = 0.02
#: Enough to keep ten slots at work, and so few that none is refused, whoever of ten users asks.
_CONNECTIONS = 15
_OTHERS, _GREED = 40, 50

#: As an operator runs it. What a user may ask for in a minute is not what is measured.
_OURS = {"ENVIRONMENT": "production", "METRICS": "on", "RATE_LIMIT": "off"}

Ask = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Bound:
    """What the service is short of, and requests that need it."""

    name: str
    users: Sequence[str]
    delay: float

    @property
    def requests(self) -> list[bytes]:
        return [raw("GET", "/tasks", user) for user in self.users]


DATABASE = _Bound("database", SMALL, _DELAY_SECONDS)
PROCESSOR = _Bound("processor", LARGE, 0)


class _Rounds:
    """Figures by their names, as the rounds give them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[list[float], Callable[[list[float]], Figure]]] = {}

    def add(self, name: str, unit: str, value: float, goal: float | None = None, **kind: bool) -> None:
        make = partial(self._figure, name, unit, goal, kind)
        self._found.setdefault((name, unit), ([], make))[0].append(value)

    @property
    def figures(self) -> list[Figure]:
        return [make(rounds) for rounds, make in self._found.values()]

    @staticmethod
    def _figure(
        name: str, unit: str, goal: float | None, kind: dict[str, bool], rounds: list[float]
    ) -> Figure:
        return Figure(name, unit, rounds, goal, **kind)


def measure(rounds: int = 3) -> list[Figure]:
    """Measure everything, some times over; a round takes three and a half minutes."""
    found = _Rounds()
    spawn = multiprocessing.get_context("spawn")
    with database_server() as (url, _), ProcessPoolExecutor(1, spawn) as generator:
        ours, textbook = replace(SUBJECTS["ours"], environment=_OURS), SUBJECTS["textbook"]
        for subject in (ours, textbook):
            subject.prepare(url)

        def ask(work: Ask, *arguments: object) -> Any:  # noqa: ANN401 - whatever the work gives
            return generator.submit(work, *arguments).result()

        for _ in range(rounds):
            for bound in (DATABASE, PROCESSOR):
                with _port(ours, url, bound) as port, _balanced(port) as front:
                    _ours(found, ask, port, bound, bound.name)
                    _ours(found, ask, front, bound, f"{bound.name}, behind HAProxy")
                with _port(textbook, url, bound) as port:
                    _textbook(found, ask, port, bound)
            with _port(ours, url, DATABASE) as port, _balanced(port) as front:
                _greedy(found, ask, port, "")
                _greedy(found, ask, front, ", behind HAProxy")
    return found.figures


def main() -> None:
    print(table(measure(*map(int, sys.argv[1:]))))


@contextmanager
def _port(subject: Subject, server_url: str, bound: _Bound) -> Iterator[int]:
    """Serve a subject, its database as far away as it is to be."""
    with ExitStack() as stack:
        if bound.delay:
            address, _, upstream = server_url.partition("?host=")
            folder = stack.enter_context(TemporaryDirectory(prefix="wire-"))
            stack.enter_context(Wire(Path(folder), Path(upstream), bound.delay))
            server_url = f"{address}?host={folder}"
        running = stack.enter_context(subject.serving(server_url))
        yield int(running.url.rpartition(":")[2])


@contextmanager
def _balanced(port: int) -> Iterator[int]:
    """Put HAProxy in front of a service, as the first of two; the other is down."""
    up, down = NAMES
    with TemporaryDirectory(prefix="haproxy-") as folder, balancer(Path(folder), {up: port}) as running:
        if not wait_for(lambda: running.is_up(up) and running.is_down(down), START_SECONDS):
            raise RuntimeError("HAProxy does not find the service")
        yield running.port


def _ours(found: _Rounds, ask: Ask, port: int, bound: _Bound, name: str) -> None:
    before = _capacity(ask, port, bound)
    (half,) = ask(load, port, Stream(bound.requests, [(before / 2, _SECONDS)]))
    normal = _p99(half, OK)
    found.add(f"{name}: p99 at half of what it can", "ms", normal)
    for times in TIMES:
        rates = [(before * times, _SECONDS), (before / 2, _AFTER_SECONDS)]
        (answers,) = ask(load, port, Stream(bound.requests, rates))
        after = _capacity(ask, port, bound)
        capacity, before = (before + after) / 2, after
        during = [one for one in answers if one.at < _SECONDS]
        found.add(f"{name}: capacity", "a second", capacity)
        found.add(f"{name}, {times} times: goodput", "%", 100 * _good(during) / capacity, 95, at_least=True)
        found.add(f"{name}, {times} times: p99 of refusals", "ms", _p99(during, UNAVAILABLE), 300)
        found.add(f"{name}, {times} times: p99 of those served", "ms", _p99(during, OK))
        found.add(f"{name}, {times} times: neither served nor refused", "", _lost(during), 0, always=True)
        found.add(f"{name}, {times} times: normal again after", "s", _recovery(answers, 3 * normal / 1000), 2)


def _textbook(found: _Rounds, ask: Ask, port: int, bound: _Bound) -> None:
    """Measure the same at twice what it can serve; a 500, or what comes too late, is no service."""
    capacity = _capacity(ask, port, bound)
    (answers,) = ask(load, port, Stream(bound.requests, [(2 * capacity, _TEXTBOOK_SECONDS)]))
    name = f"textbook, {bound.name}, 2 times:"
    found.add(f"{name} goodput", "%", 100 * _good(answers, _TEXTBOOK_SECONDS) / capacity)
    found.add(f"{name} neither served nor refused", "", _lost(answers))


def _greedy(found: _Rounds, ask: Ask, port: int, place: str) -> None:
    """Let one user ask for 50 times his share while others use half of what there is."""
    capacity = _capacity(ask, port, DATABASE)
    requests = DATABASE.requests
    others = Stream(requests[:_OTHERS], [(capacity / 2, _GREEDY_SECONDS)])
    greedy = Stream(requests[-1:], [(capacity / _OTHERS * _GREED, _GREEDY_SECONDS)])
    (alone,) = ask(load, port, others)
    beside, of_greedy = ask(load, port, others, greedy)
    grown = _p99(beside, OK) / _p99(alone, OK)
    found.add(f"beside a greedy user{place}: p99 of the others", "times", grown, 1.2)
    refused = sum(one.status != OK for one in beside)
    found.add(f"beside a greedy user{place}: others refused or lost", "", refused, 0, always=True)
    served = sum(one.status == OK for one in of_greedy) / _GREEDY_SECONDS
    found.add(f"the greedy user{place}: served", "a second", served)


def _capacity(ask: Ask, port: int, bound: _Bound) -> float:
    capacity: float = ask(closed, port, bound.requests, _CONNECTIONS, _CAPACITY_SECONDS)
    return capacity


def _good(answers: Sequence[Answer], seconds: float = _SECONDS) -> float:
    """How many a second were served while the load lasted, from when it had begun."""
    in_time = [one for one in answers if one.status == OK and one.seconds <= PATIENCE_SECONDS]
    counted = sum(_WARM_SECONDS <= one.at + one.seconds < seconds for one in in_time)
    return counted / (seconds - _WARM_SECONDS)


def _lost(answers: Sequence[Answer]) -> int:
    return sum(one.status not in {OK, UNAVAILABLE} or one.seconds > PATIENCE_SECONDS for one in answers)


def _p99(answers: Sequence[Answer], status: int) -> float:
    """In milliseconds; 0 where there are not two of them."""
    times = [one.seconds * 1000 for one in answers if one.status == status]
    return quantiles(times, n=100)[-1] if len(times) > 1 else 0.0


def _recovery(answers: Sequence[Answer], slow: float) -> float:
    """Return when, after the load, the last tenth of a second ended in which more than 5 % went wrong."""
    tenths: dict[int, list[bool]] = {}
    for one in answers:
        if one.at >= _SECONDS:
            wrong = one.status != OK or one.seconds > slow
            tenths.setdefault(int((one.at - _SECONDS) * 10), []).append(wrong)
    return max(
        (0.1 * (tenth + 1) for tenth, wrong in tenths.items() if sum(wrong) > len(wrong) / 20), default=0
    )


if __name__ == "__main__":
    main()
