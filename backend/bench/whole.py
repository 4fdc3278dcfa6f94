"""A run of the bench: all of it, which is kept, or a part of it, which is only shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import results, storage
from bench.capacity_inputs import costs_of_ours
from bench.ceiling import ceiling
from bench.figures import Figure
from bench.floor import Floor, floors
from bench.goals import everything
from bench.goals.server import Server, prepare
from bench.machine import facts
from bench.matrix import CONNECTIONS, visits, warm_up
from bench.progress import Progress
from bench.ratios import CONNECTIONS as COMPARED_AT
from bench.ratios import figures
from bench.served import database_server, served
from bench.session import Measured, Session
from bench.subjects import SUBJECTS
from bench.work import WORKS

ROUNDS = 3
_MIXED_ROUNDS, _CEILING_ROUNDS = 3, 3


@dataclass(frozen=True, slots=True)
class Part:
    """What of the comparison is wanted."""

    works: Sequence[str]
    subjects: Sequence[str]
    connections: Sequence[int]
    rounds: int
    mixed_rounds: int


#: The comparison as a whole.
WHOLE = Part([*WORKS], [*SUBJECTS], CONNECTIONS, ROUNDS, _MIXED_ROUNDS)


def in_part(part: Part) -> tuple[Measured, list[Figure]]:
    """Measure some of the comparison."""
    with database_server() as (url, postmaster):
        measured, _ = _compared(part, url, postmaster)
    return measured, figures(measured, [])


def in_whole() -> tuple[Measured, list[Figure], list[Floor]]:
    """Measure everything, write the report and draw its plots."""
    from bench.plots import draw  # noqa: PLC0415 - a part needs no matplotlib

    with database_server() as (url, postmaster):
        measured, floor = _compared(WHOLE, url, postmaster)
        found = figures(measured, ceiling(COMPARED_AT, _CEILING_ROUNDS))
        server = Server(url, postmaster)
        prepare(server)
        found += everything.measure(server)
        capacity = {**costs_of_ours(measured), **storage.measured_on(url)}
    report = results.report(measured, floor, found, facts(), capacity)
    results.write(report)
    draw(report, results.FOLDER)
    return measured, found, floor


def _compared(part: Part, url: str, postmaster: int) -> tuple[Measured, list[Floor]]:
    """Let all subjects run at the same time; a round of everything goes before, untimed."""
    works = [WORKS[name] for name in part.works]
    with served(part.subjects, url, postmaster) as targets:
        steps = part.rounds * len([*visits(targets, works, part.connections, 0)])
        session = Session(targets, Progress(steps + part.mixed_rounds * len(targets)))
        warm_up(targets, works)
        session.run_cells(works, part.connections, part.rounds)
        session.run_mixed(part.mixed_rounds)
        session.progress.end()
        (ours,) = [target.database_url for target in targets if target.name == "ours"] or [""]
        return session.measured, floors(ours, postmaster) if part is WHOLE else []
