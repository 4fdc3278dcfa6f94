"""`python -m bench`: all of it and the report, or a part: --only list_20,create --subjects ours,textbook."""

import argparse
from collections.abc import Callable, Collection

from bench.figures import table
from bench.matrix import CONNECTIONS
from bench.report import costs_table, mixed_table, speeds_table
from bench.served import database_server, served
from bench.session import Measured
from bench.subjects import SUBJECTS
from bench.whole import in_part, in_whole
from bench.work import WORKS

ROUNDS = 4


def main() -> None:
    """Measure what was asked for; only a run of everything is kept."""
    given = _arguments()
    with database_server() as (url, postmaster), served(given.subjects, url, postmaster) as targets:
        if vars(given) == vars(_arguments([])):
            measured, figures = in_whole(targets, ROUNDS)
        else:
            works = [WORKS[name] for name in given.only if name in WORKS]
            mixed_rounds = given.rounds if "mixed" in given.only else 0
            measured, figures = in_part(targets, works, given.connections, given.rounds, mixed_rounds)
    print(_tables(measured), table(figures), sep="\n\n")


def _arguments(typed: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names([*WORKS, "mixed"]), default=[*WORKS, "mixed"])
    parser.add_argument("--subjects", type=_names(SUBJECTS), default=[*SUBJECTS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--connections", type=lambda text: [*map(int, text.split(","))], default=[*CONNECTIONS]
    )
    return parser.parse_args(typed)


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read


def _tables(measured: Measured) -> str:
    return "\n\n".join((costs_table(measured), speeds_table(measured), mixed_table(measured)))


if __name__ == "__main__":
    main()
