"""What is promised of the comparison, from what was measured: ratios inside a round, then their median."""

from collections.abc import Sequence

from bench.figures import Figure
from bench.matrix import Cell, Cost
from bench.session import Measured
from bench.work import WORKS

CONNECTIONS = 20  # at which costs are compared
#: Who is compared with, at what, and how much of their CPU time ours may take.
_BOUNDS = {
    "textbook": {"list_20": 1 / 4, "list_1000": 1 / 4, "create": 1 / 5, "patch": 1 / 5, "delete": 1 / 5},
    "fastify": {"list_20": 1.0, "list_1000": 1.0, "get": 1.0, "create": 1.3, "patch": 1.3, "delete": 1.3},
}
_TITLES = {"textbook": "the textbook", "fastify": "Fastify"}
_UNCHANGED = 1.5
_READ_P95, _WRITE_P95, _TAIL = 60, 90, 3
_CORES = 2 / 3  # of the one that its thread could take


def figures(measured: Measured, ceiling: Sequence[float]) -> list[Figure]:
    """Hold everything that was measured against its goal; what was not measured has no figure."""
    return [*_compared(measured), *_unchanged(measured), *_mixed(measured), *_generator(measured, ceiling)]


def _compared(measured: Measured) -> list[Figure]:
    found = []
    for subject, bounds in _BOUNDS.items():
        for work, goal in bounds.items():
            ours, theirs = (_costs(measured, name, work) for name in ("ours", subject))
            if ours and theirs:
                name = f"{WORKS[work].title}: CPU against {_TITLES[subject]}"
                found.append(Figure(name, "x", ratios(ours, theirs), goal))
    return found


def ratios(over: Sequence[Cost], under: Sequence[Cost]) -> list[float]:
    """Divide the costs of one thing by those of another, round by round."""
    return [one.whole / other.whole for one, other in zip(over, under, strict=True)]


def _unchanged(measured: Measured) -> list[Figure]:
    """Compare a 304 with what is cheapest, in its round, among the routes that ask the database each time."""
    found = _costs(measured, "ours", "unchanged")
    others = [_costs(measured, "ours", work) for work in ("list_20", "get", "create", "patch", "delete")]
    rounds = [*zip(*(costs for costs in others if costs), strict=True)]
    if not found or not rounds:
        return []
    cheapest = [min(costs, key=lambda cost: cost.whole) for costs in rounds]
    name = "304 of a list of 1,000: CPU against the cheapest route with a round trip"
    return [Figure(name, "x", ratios(found, cheapest), _UNCHANGED)]


def _mixed(measured: Measured) -> list[Figure]:
    rounds = measured.mixed.get("ours", [])
    found = []
    for at, (kind, p95) in enumerate((("reads", _READ_P95), ("writes", _WRITE_P95))):
        runs = [pair[at].run for pair in rounds]
        if runs:
            name = f"100 connections, mixed load: {kind}"
            found.append(Figure(f"{name}, p95", "ms", [run.p95 for run in runs], p95))
            found.append(Figure(f"{name}, p99 over p50", "x", [run.p99 / run.p50 for run in runs], _TAIL))
            failed = [run.failed for run in runs]
            found.append(Figure(f"{name}, errors", "", failed, goal=0, always=True))
    return found


def _generator(measured: Measured, ceiling: Sequence[float]) -> list[Figure]:
    """See that wrk was not what was measured: how much of a core it took where it took most."""
    runs = [cost.run for costs in measured.cells.values() for cost in costs]
    shares = [run.generator_cpu / run.seconds for run in runs]
    found = [Figure("wrk in the run that it worked most in", "cores", [max(shares)], _CORES)] if runs else []
    most = f"wrk's own ceiling, {CONNECTIONS} connections"
    return [*found, Figure(most, "requests/s", ceiling)] if ceiling else found


def _costs(measured: Measured, subject: str, work: str) -> Sequence[Cost]:
    return measured.cells.get(Cell(subject, work, CONNECTIONS), [])
