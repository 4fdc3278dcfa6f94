"""`python -m bench`: all of it and the report, or a part: --only list_20,create --subjects ours,textbook."""

import argparse
from collections.abc import Callable, Collection

from bench.matrix import CONNECTIONS, Target, visits, warm_up
from bench.progress import Progress
from bench.report import costs_table, mixed_table, speeds_table
from bench.served import database_server, served
from bench.session import Session
from bench.subjects import SUBJECTS
from bench.work import WORKS

ROUNDS, MIXED_ROUNDS = 4, 3


def main() -> None:
    given = _arguments()
    with database_server() as (url, postmaster), served(given.subjects, url, postmaster) as targets:
        print(_part(given, targets))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names([*WORKS, "mixed"]), default=[*WORKS, "mixed"])
    parser.add_argument("--subjects", type=_names(SUBJECTS), default=[*SUBJECTS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--connections", type=lambda text: [*map(int, text.split(","))], default=[*CONNECTIONS]
    )
    return parser.parse_args()


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read


def _part(given: argparse.Namespace, targets: list[Target]) -> str:
    """Measure what was asked for and show it; nothing is kept."""
    works, mixed = [WORKS[name] for name in given.only if name in WORKS], "mixed" in given.only
    steps = len([*visits(targets, works, given.connections, 0)]) + len(targets) * mixed
    session = Session(targets, Progress(given.rounds * steps))
    warm_up(targets, works)
    session.run_cells(works, given.connections, given.rounds)
    if mixed:
        session.run_mixed(given.rounds)
    session.progress.end()
    measured = session.measured
    return "\n\n".join((costs_table(measured), speeds_table(measured), mixed_table(measured)))


if __name__ == "__main__":
    main()
