"""What the README shows of the latest report: `python -m bench.readme` writes it between the marks there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.config import BACKEND
from bench.ratios import CONNECTIONS
from bench.results import read
from bench.work import WORKS

README = BACKEND.parent / "README.md"
_BEGIN, _END = "<!-- from the latest report of make bench -->", "<!-- until here -->"
_BETWEEN = re.compile(f"(?<={_BEGIN}\n).*?(?={_END})", re.DOTALL)
_HEAD = "µs of CPU for a request"

Report = Mapping[str, Any]


def shown(report: Report) -> str:
    """Write the part of the README."""
    machine, names = report["machine"], [name for name in report["subjects"] if name != "starlette"]
    costs = {(cell["work"], cell["subject"]): cell for cell in report["cells"] if _compared(cell)}
    rows = [[WORKS[work].title, *(_cost(costs.get((work, name))) for name in names)] for work in WORKS]
    mixed = {entry["subject"]: entry for entry in report["mixed"]}
    rows += [
        [
            f"100 connections, mixed: {part}, p95 in ms",
            *(_p95(mixed.get(name), part) for name in names),
        ]
        for part in ("reads", "writes")
    ]
    titles = [_HEAD, *(report["subjects"][name] for name in names)]
    lines = [titles, ["---", *("--:" for _ in names)], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    told = f"{machine['cores']} cores, Python {machine['python']}, PostgreSQL {machine['postgres']}"
    where = told + (f", Node.js {machine['node']}" if machine["node"] else "")
    return f"{table}\n\nMeasured on {machine['date']} at {machine['commit']}, on {where}; {_met(report)}.\n"


def written(text: str, part: str) -> str:
    """Put the part between its marks; raises ValueError when they are not there."""
    if len(_BETWEEN.findall(text)) != 1:
        raise ValueError("the README has no place for it, or several")
    return _BETWEEN.sub(lambda _found: part, text)


def _compared(cell: Mapping[str, Any]) -> bool:
    return bool(cell["connections"] == CONNECTIONS)


def _cost(cell: Mapping[str, Any] | None) -> str:
    return f"{cell['app'] + cell['database']:,.0f}" if cell else ""


def _p95(entry: Mapping[str, Any] | None, part: str) -> str:
    return f"{entry[part]['p95']:,.0f}" if entry else ""


def _met(report: Report) -> str:
    goals = report["goals"]
    return f"{sum(goal['met'] for goal in goals)} of {len(goals)} goals are met"


def main(path: Path = README) -> None:
    path.write_text(written(path.read_text(), shown(read())))


if __name__ == "__main__":
    main()
