"""Every subject at every kind of work, round by round: what a request costs, and how long it takes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

from bench.cpu import cpu_seconds
from bench.load import Load, LoadError, Run
from bench.subjects.processes import tree
from bench.tables import doomed_tasks, tidy
from bench.work import Work

CONNECTIONS = (1, 20, 100)
SECONDS = 0.4  # of a run; what was begun is waited for, so it may take longer
_WARM_SECONDS, _WARM_CONNECTIONS = 0.3, 20  # more than any has to its database
_MOST_DELETED = 15_000  # in a second: more than any subject manages


@dataclass(frozen=True, slots=True)
class Target:
    """A subject that is being served."""

    name: str
    url: str
    pids: Callable[[], Iterable[int]]
    database_url: str = ""  #: nothing where it has none
    postmaster: int = 0


class Cell(NamedTuple):
    """One subject at one kind of work with some connections."""

    subject: str
    work: str
    connections: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request of a run cost, in µs of CPU time, and the run."""

    app: float
    database: float
    run: Run

    @property
    def whole(self) -> float:
        return self.app + self.database


Visit = tuple[Target, Work, int]


def visits(
    targets: Sequence[Target], works: Sequence[Work], connections: Sequence[int], number: int
) -> Iterator[Visit]:
    """Go through one round. The subjects take turns at each work, and at who begins."""
    for at, work in enumerate(works):
        able = [target for target in targets if is_asked(target, work)]
        for count in connections:
            for target in rotated(able, number + at):
                yield target, work, count


def rotated(targets: Sequence[Target], number: int) -> list[Target]:
    """Let another one begin each time."""
    first = number % max(len(targets), 1)
    return [*targets[first:], *targets[:first]]


def is_asked(target: Target, work: Work) -> bool:
    """Whether a subject has this kind of work: without a database there is only health."""
    return target.name in work.only if work.only else bool(target.database_url) or work.name == "health"


def warm_up(targets: Sequence[Target], works: Sequence[Work]) -> None:
    """Let everybody open its connections, prepare its statements and compile what it compiles."""
    for target, work, count in visits(targets, works, [_WARM_CONNECTIONS], 0):
        measure_one(target, work, count, _WARM_SECONDS)


def measure_one(target: Target, work: Work, connections: int, seconds: float = SECONDS) -> Cost:
    """Run one kind of work; raises LoadError when a request failed: what fails costs something else."""
    (cost,) = measure(target, [(work, connections)], seconds)
    if cost.run.failed:
        raise LoadError(f"{target.name}, {work.title}: {cost.run.failed} of {cost.run.completed} failed")
    return cost


def measure(target: Target, parts: Sequence[tuple[Work, int]], seconds: float = SECONDS) -> list[Cost]:
    """Run kinds of work at the same time, each with its own connections; all of them cost the same then."""
    try:
        return _measure(target, parts, seconds)
    finally:
        if any(work.writes for work, _ in parts):
            tidy(target.database_url)


def _measure(target: Target, parts: Sequence[tuple[Work, int]], seconds: float) -> list[Cost]:
    loads = [_load(target, work, count, seconds) for work, count in parts]
    with ExitStack() as started:
        before = _used(target)
        for each in loads:
            started.enter_context(each)
        runs = [each.run() for each in loads]
        after = _used(target)
    requests = sum(run.completed for run in runs)
    app, database = ((then - now) / requests * 1e6 for now, then in zip(before, after, strict=True))
    return [Cost(app, database, run) for run in runs]


def _load(target: Target, work: Work, connections: int, seconds: float) -> Load:
    count = round(seconds * _MOST_DELETED)
    doomed = doomed_tasks(target.database_url, count) if work.uses_up else []
    requests = work.requests(target.url, doomed)
    return Load(target.url, requests, connections=connections, seconds=seconds, once=work.uses_up)


def _used(target: Target) -> tuple[float, float]:
    return cpu_seconds(target.pids()), cpu_seconds(tree(target.postmaster)) if target.database_url else 0
