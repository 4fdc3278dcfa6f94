"""A run of the bench: all of it, which is kept, or a part of it, which is only shown."""

from collections.abc import Callable, Sequence

from bench import results
from bench.ceiling import ceiling
from bench.figures import Figure
from bench.floor import Floor, floors
from bench.machine import facts
from bench.matrix import CONNECTIONS, Target, visits, warm_up
from bench.plots import draw
from bench.progress import Progress
from bench.ratios import CONNECTIONS as COMPARED_AT
from bench.ratios import figures
from bench.session import Measured, Session
from bench.work import WORKS, Work

_MIXED_ROUNDS, _CEILING_ROUNDS = 3, 3

#: What else is measured, after the comparison and with servers of its own.
FURTHER: Sequence[Callable[[], list[Figure]]] = ()


def in_part(
    targets: Sequence[Target],
    works: Sequence[Work],
    connections: Sequence[int],
    rounds: int,
    mixed_rounds: int,
) -> tuple[Measured, list[Figure]]:
    """Measure some of it; a round of everything goes before, untimed."""
    steps = rounds * len([*visits(targets, works, connections, 0)]) + mixed_rounds * len(targets)
    session = Session(targets, Progress(steps))
    warm_up(targets, works)
    session.run_cells(works, connections, rounds)
    session.run_mixed(mixed_rounds)
    session.progress.end()
    return session.measured, figures(session.measured, [])


def in_whole(targets: Sequence[Target], rounds: int) -> tuple[Measured, list[Figure]]:
    """Measure everything, write the report and draw its plots."""
    measured, _ = in_part(targets, [*WORKS.values()], CONNECTIONS, rounds, _MIXED_ROUNDS)
    found = figures(measured, ceiling(COMPARED_AT, _CEILING_ROUNDS))
    for measure in FURTHER:
        found += measure()
    report = results.report(measured, _floors(targets), found, facts())
    results.write(report)
    draw(report, results.FOLDER)
    return measured, found


def _floors(targets: Sequence[Target]) -> list[Floor]:
    (ours,) = [target for target in targets if target.name == "ours"]
    return floors(ours.database_url, ours.postmaster)
