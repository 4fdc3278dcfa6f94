"""What was measured, as tables for a terminal."""

from collections.abc import Iterable, Sequence
from statistics import median

from bench.floor import Floor
from bench.matrix import Cell, Cost
from bench.session import Measured
from bench.work import WORKS


def costs_table(measured: Measured) -> str:
    """Show the CPU time of a request, app + database in µs: lines are works, columns are subjects."""
    subjects = [*dict.fromkeys(cell.subject for cell in measured.cells)]
    rows = [("µs of CPU: app + database", "conn.", *subjects)]
    for work, count in dict.fromkeys((cell.work, cell.connections) for cell in sorted_cells(measured.cells)):
        found = [measured.cells.get(Cell(subject, work, count), []) for subject in subjects]
        rows.append((WORKS[work].title, str(count), *map(_cost, found)))
    return columns(rows)


def speeds_table(measured: Measured) -> str:
    """Show requests per second and the 99th percentile of latency at each number of connections."""
    subjects = [*dict.fromkeys(cell.subject for cell in measured.cells)]
    rows = [("requests a second, p99 in ms", "conn.", *subjects)]
    for work, count in dict.fromkeys((cell.work, cell.connections) for cell in sorted_cells(measured.cells)):
        found = [measured.cells.get(Cell(subject, work, count), []) for subject in subjects]
        rows.append((WORKS[work].title, str(count), *map(_speed, found)))
    return columns(rows)


def mixed_table(measured: Measured) -> str:
    """Show latency under the mixed load, and how much of it were reads."""
    rows: list[tuple[str, ...]] = [
        ("mixed load", "reads/s", "writes/s", "reads p50", "p95", "p99", "writes p50", "p95", "p99", "share")
    ]
    for subject, rounds in measured.mixed.items():
        reads, writes = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
        speeds = [f"{middle(cost.run.per_second for cost in costs):,.0f}" for costs in (reads, writes)]
        waits = [
            f"{middle(getattr(cost.run, name) for cost in costs):,.1f}"
            for costs in (reads, writes)
            for name in ("p50", "p95", "p99")
        ]
        rows.append((subject, *speeds, *waits, f"{share_of_reads(rounds):.0%}"))
    return columns(rows)


def floor_table(floors: Sequence[Floor]) -> str:
    """Show what our SQL costs and manages without an API."""
    rows = [("our SQL from pgbench", "µs of CPU", "transactions/s")]
    rows += [(WORKS[one.work].title, f"{one.database:,.0f}", f"{one.per_second:,.0f}") for one in floors]
    return columns(rows)


def share_of_reads(rounds: Sequence[tuple[Cost, Cost]]) -> float:
    reads = sum(pair[0].run.completed for pair in rounds)
    return reads / (reads + sum(pair[1].run.completed for pair in rounds))


def sorted_cells(cells: Iterable[Cell]) -> list[Cell]:
    """Put works in the order that they are defined in."""
    order = [*WORKS]
    return sorted(cells, key=lambda cell: (order.index(cell.work), cell.connections))


def middle(values: Iterable[float]) -> float:
    return median(values)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Lay rows out: names to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in rows
    )


def _cost(costs: Sequence[Cost]) -> str:
    if not costs:
        return "-"
    return f"{middle(cost.app for cost in costs):,.0f} + {middle(cost.database for cost in costs):,.0f}"


def _speed(costs: Sequence[Cost]) -> str:
    if not costs:
        return "-"
    return (
        f"{middle(cost.run.per_second for cost in costs):,.0f}, {middle(cost.run.p99 for cost in costs):,.1f}"
    )
