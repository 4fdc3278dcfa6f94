"""CPU time of a list and of a single task as the table grows, and of a list as it gets longer."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack

from bench.figures import Figure
from bench.goals.fit import Line
from bench.goals.growth_data import first_tasks, prepare
from bench.goals.server import Server, alone, serving, subject
from bench.matrix import Target, measure_one, rotated, warm_up
from bench.work import Work, raw

TASKS_OF_A_USER = 20
USERS = (10, 500, 100_000, 500_000)  # so up to 10 million tasks
QUICK_USERS = (10, 500, 10_000, 50_000)
LENGTHS = (10, 100, 300, 1000, 3000, 10_000)  # tasks of one user
ROUNDS, SECONDS, CONNECTIONS = 7, 0.35, 20
_CALLERS = 200
_GROWN, _OFF_THE_LINE = 1.2, 20

Costs = dict[int, list[float]]


def measure(server: Server) -> list[Figure]:
    """Serve databases of all sizes at once, so that they can take turns."""
    sizes = QUICK_USERS if server.quick else USERS
    groups = {f"growth_{size}": [(size, TASKS_OF_A_USER, 0)] for size in sizes}
    groups["growth_long"] = [(1, length, length) for length in LENGTHS]  # apart: the planner goes by averages
    with ExitStack() as stack:
        for data, users in groups.items():
            prepare(subject(data=data), server.url, users)
        *grown, long = [stack.enter_context(serving(server, data=data)) for data in groups]
        return [*_of_the_table(dict(zip(sizes, grown, strict=True))), *_of_a_list(long)]


def _of_the_table(targets: dict[int, Target]) -> list[Figure]:
    lists, gets = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    works = {size: _works(target, size) for size, target in targets.items()}
    for size, target in targets.items():
        warm_up([target], works[size])
    for number in range(ROUNDS):
        for target in rotated([*targets.values()], number):
            (size,) = (size for size, other in targets.items() if other is target)
            for work, costs in zip(works[size], (lists, gets), strict=True):
                costs[size].append(measure_one(target, work, CONNECTIONS, SECONDS).whole)
    return [*_grown("list of 20", lists), *_grown("get one", gets)]


def _grown(name: str, costs: Costs) -> list[Figure]:
    """Compare 10 million tasks with 10 thousand, and 100,000 users with 10."""
    few, small, many, large = costs
    return [
        *(Figure(f"{name}, {size * TASKS_OF_A_USER:,} tasks", "µs cpu", costs[size]) for size in costs),
        _compared(
            f"{name}: {large * TASKS_OF_A_USER:,} tasks over {small * TASKS_OF_A_USER:,}", costs, large, small
        ),
        _compared(f"{name}: {many:,} users over {few:,}", costs, many, few),
    ]


def _compared(name: str, costs: Costs, over: int, under: int) -> Figure:
    ratios = [one / other for one, other in zip(costs[over], costs[under], strict=True)]
    return Figure(name, "x", ratios, _GROWN)


def _works(target: Target, size: int) -> Sequence[Work]:
    """Let users call that are spread over the whole table."""
    callers = [f"user-{number}" for number in range(0, size, max(1, size // _CALLERS))][:_CALLERS]
    lists = [raw("GET", "/tasks", caller) for caller in callers]
    tasks = first_tasks(target.database_url, callers)
    gets = [raw("GET", f"/tasks/{task}", caller) for caller, task in tasks.items()]
    return [Work("list", "list", lambda _url, _doomed: lists), Work("get", "get", lambda _url, _doomed: gets)]


def _of_a_list(target: Target) -> list[Figure]:
    """Measure lists of all lengths by turns, and see how straight the line through them is."""
    costs, works = defaultdict[int, list[float]](list), {length: _long(length) for length in LENGTHS}
    warm_up([target], [works[min(LENGTHS)]])
    for _ in range(ROUNDS):
        for length, work in works.items():
            costs[length].append(measure_one(target, work, CONNECTIONS, SECONDS).whole)
    told = [Figure(f"list of {length:,}", "µs cpu", found) for length, found in costs.items()]
    return [
        *told,
        *_line([dict(zip(LENGTHS, turn, strict=True)) for turn in zip(*costs.values(), strict=True)]),
    ]


def _line(rounds: Sequence[dict[int, float]]) -> list[Figure]:
    lines = [Line.through(points) for points in rounds]
    off = [line.off(points) for line, points in zip(lines, rounds, strict=True)]
    return [
        Figure("list: for each task", "µs cpu", [line.each for line in lines]),
        Figure("list: besides its tasks", "µs cpu", [line.fixed for line in lines]),
        Figure("list of 10 to 10,000: farthest from a straight line", "%", off, _OFF_THE_LINE),
    ]


def _long(length: int) -> Work:
    request = raw("GET", "/tasks", f"user-{length}")
    return Work("list", f"list of {length}", lambda _url, _doomed: [request])


if __name__ == "__main__":
    alone(measure)
