"""No hot path gets 15 % dearer than is recorded, counted without a clock, and no gain is lost again."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.record_hot_path import RECORDED, count, modules

_TOLERANCE = 0.15
_RECORD = "Record it: .venv/bin/python -m tests.record_hot_path"

Costs = dict[str, dict[str, Any]]


@pytest.fixture
def recorded() -> Costs:
    costs: Costs = json.loads(RECORDED.read_text())
    return costs


async def test_a_hot_path_costs_what_is_recorded(recorded, make_database):
    assert list(complaints(recorded, await count(await make_database()))) == []


def complaints(recorded: Costs, counted: Costs) -> Iterator[str]:
    """A sentence for each cost that moved too far, either way, with where it moved most."""
    assert recorded.keys() == counted.keys(), f"the hot paths are others. {_RECORD}"
    for name, now in counted.items():
        for unit in ("steps", "blocks", "rows"):
            before, after = recorded[name][unit], now[unit]
            told = f"{name}: {before:,} -> {after:,} {unit}"
            if after > before * (1 + _TOLERANCE):
                more = _grown(recorded[name]["by"], now["by"]) if unit == "steps" else "see its statement"
                yield f"{told}, too dear; {more}. If there is a reason: {_RECORD}"
            elif after < before * (1 - _TOLERANCE):
                yield f"{told}, a gain that would not be kept. {_RECORD}"


def _grown(before: dict[str, int], by_function: dict[str, int]) -> str:
    """Name the modules with the most additional steps, and their dearest functions."""
    after = modules(by_function)
    growth = {name: after[name] - before.get(name, 0) for name in after}
    told = []
    for module in sorted(growth, key=growth.__getitem__, reverse=True)[:3]:
        functions = [name for name in by_function if name.startswith(f"{module}:")][:3]
        dearest = ", ".join(f"{name.partition(':')[2]} {by_function[name]:,}" for name in functions)
        told.append(f"{module} +{growth[module]:,} ({dearest})")
    return "; ".join(told)


@pytest.fixture
def counted(recorded) -> Costs:
    """As recorded; what is counted is told by function."""
    costs = copy.deepcopy(recorded)
    for cost in costs.values():
        cost["by"] = {f"{name}:f": steps for name, steps in cost["by"].items()}
    return costs


@pytest.mark.parametrize("unit", ["steps", "blocks", "rows"])
@pytest.mark.parametrize(("factor", "said"), [(1.16, "too dear"), (0.84, "a gain"), (1.14, ""), (0.86, "")])
def test_more_than_15_percent_is_told(recorded, counted, unit, factor, said):
    recorded["get"][unit] = 1000
    counted["get"][unit] = int(1000 * factor)
    told = " ".join(complaints(recorded, counted))
    assert (f"get: 1,000 -> {1000 * factor:,.0f} {unit}, {said}" in told) if said else told == ""


def test_what_grew_is_named(recorded, counted):
    counted["get"]["steps"] += 5000
    counted["get"]["by"] = {"app.new:loop": 4000, "app.new:start": 1000} | counted["get"]["by"]
    (told,) = complaints(recorded, counted)
    assert "app.new +5,000 (loop 4,000, start 1,000)" in told


def test_a_path_that_is_not_recorded_is_told(recorded, counted):
    with pytest.raises(AssertionError, match="Record it"):
        list(complaints(recorded, counted | {"new": counted["get"]}))
