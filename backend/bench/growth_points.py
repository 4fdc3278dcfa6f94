"""What a report says of growth: the cost of a request at each size."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_OF_TABLE = re.compile(r"(list of 20|get one), ([\d,]+) tasks")
_OF_LIST = re.compile(r"list of ([\d,]+)")

Points = dict[int, float]


def points(figures: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Points], Points]:
    """Pick from a report's figures, by kind of work, the cost at each size; and that of a list by length."""
    table: dict[str, Points] = {}
    one: Points = {}
    for figure in figures:
        if found := _OF_TABLE.fullmatch(figure["name"]):
            table.setdefault(found[1], {})[_number(found[2])] = figure["measured"]
        elif (found := _OF_LIST.fullmatch(figure["name"])) and figure["unit"] == "µs cpu":
            one[_number(found[1])] = figure["measured"]
    return table, one


def _number(text: str) -> int:
    return int(text.replace(",", ""))
