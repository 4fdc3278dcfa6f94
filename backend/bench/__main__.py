"""`python -m bench`: all of it and the report, or a part: --only list_20,create --subjects ours,textbook."""

import argparse
from collections.abc import Callable, Collection

from bench.figures import table
from bench.matrix import CONNECTIONS
from bench.report import costs_table, floor_table, mixed_table, speeds_table
from bench.subjects import SUBJECTS
from bench.whole import ROUNDS, Part, in_part, in_whole
from bench.work import WORKS

_ANY = [*WORKS, "mixed"]


def main() -> None:
    """Measure what was asked for; only a run of everything is kept."""
    given = _arguments()
    tables = []
    if given == _arguments([]):
        measured, figures, floors = in_whole()
        tables.append(floor_table(floors))
    else:
        measured, figures = in_part(_part(given))
    if measured.cells:
        tables += [costs_table(measured), speeds_table(measured)]
    if measured.mixed:
        tables.append(mixed_table(measured))
    tables.append(table(figures))
    print(*tables, sep="\n\n")


def _arguments(typed: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names(_ANY), default=_ANY)
    parser.add_argument("--subjects", type=_names(SUBJECTS), default=[*SUBJECTS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--connections", type=_numbers, default=[*CONNECTIONS])
    return parser.parse_args(typed)


def _part(given: argparse.Namespace) -> Part:
    works = [name for name in given.only if name in WORKS]
    mixed_rounds = given.rounds if "mixed" in given.only else 0
    return Part(works, given.subjects, given.connections, given.rounds, mixed_rounds)


def _numbers(text: str) -> list[int]:
    return [*map(int, text.split(","))]


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read


if __name__ == "__main__":
    main()
