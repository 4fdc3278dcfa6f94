"""The report of a run as JSON: every figure round by round, and which goals were met."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.floor import Floor
from bench.load import Run
from bench.matrix import Cost
from bench.report import middle, share_of_reads, sorted_cells
from bench.session import Measured
from bench.subjects import SUBJECTS

FOLDER = Path(__file__).with_name("results")
LATEST = FOLDER / "latest.json"
_OF_RUN = ("per_second", "p50", "p95", "p99", "longest")


def report(
    measured: Measured,
    floors: Sequence[Floor],
    figures: Sequence[Figure],
    machine: Mapping[str, Any],
    capacity: Mapping[str, Any],
) -> dict[str, Any]:
    """Put everything together; times are in ms, CPU time is in µs for a request.

    `capacity` is what bench.capacity computes from.
    """
    return {
        "machine": machine,
        "subjects": {name: subject.title for name, subject in SUBJECTS.items()},
        "cells": [
            {**cell._asdict(), **_costs(measured.cells[cell])} for cell in sorted_cells(measured.cells)
        ],
        "mixed": [
            {
                "subject": subject,
                "share_of_reads": round(share_of_reads(rounds), 3),
                "reads": _costs([pair[0] for pair in rounds]),
                "writes": _costs([pair[1] for pair in rounds]),
            }
            for subject, rounds in measured.mixed.items()
        ],
        "floor": [asdict(floor) for floor in floors],
        "figures": [_figure(figure) for figure in figures],
        "goals": goals(figures),
        "capacity": capacity,
    }


def goals(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Say of each figure that has a goal whether it was met."""
    return [
        {
            "name": figure.name,
            "goal": figure.wanted,
            "measured": _short(figure.measured),
            "unit": figure.unit,
            "met": figure.met,
        }
        for figure in figures
        if figure.goal is not None
    ]


def write(found: dict[str, Any], path: Path = LATEST) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def read(path: Path = LATEST) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _costs(costs: Sequence[Cost]) -> dict[str, Any]:
    """Give the median of everything, and the CPU time of each round for its spread."""
    found = {
        "app": _short(middle(cost.app for cost in costs)),
        "database": _short(middle(cost.database for cost in costs)),
        "app_rounds": [_short(cost.app) for cost in costs],
        "database_rounds": [_short(cost.database) for cost in costs],
        "requests": sum(cost.run.completed for cost in costs),
        "failed": sum(cost.run.failed for cost in costs),
    }
    return found | {name: _short(_middle_of([cost.run for cost in costs], name)) for name in _OF_RUN}


def _middle_of(runs: Sequence[Run], name: str) -> float:
    return middle(getattr(run, name) for run in runs)


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "unit": figure.unit,
        "measured": _short(figure.measured),
        "rounds": [_short(value) for value in figure.rounds],
        "goal": figure.wanted,
        "met": figure.met,
    }


def _short(value: float) -> float:
    """Keep four digits: there are no more in it."""
    return float(f"{value:.4g}")
