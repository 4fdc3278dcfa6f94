"""The dashboard of deploy/, as Grafana reads it: its panels, and their queries with variables filled in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.watching import DEPLOY

FILE = DEPLOY / "grafana/dashboard.json"

#: What Grafana's variables stand for in the tests.
VARIABLES = {"$__rate_interval": "5m", "$job": "tasks-api", "$route": ".*", "$quantile": "0.95"}


@dataclass(frozen=True)
class Query:
    """A query of a panel."""

    panel: str
    expression: str
    legend: str


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    """Return those that show something: rows are headings."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def filled(text: str, **other: str) -> str:
    """Put values for the variables; `rate_interval` and the like may be given."""
    values = VARIABLES | {f"$__{name}": value for name, value in other.items()}
    for name, value in values.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text


def queries() -> list[Query]:
    return list(_queries())


def _queries() -> Iterator[Query]:
    for panel in panels():
        for target in panel["targets"]:
            yield Query(panel["title"], filled(target["expr"]), target["legendFormat"])
    for annotation in dashboard()["annotations"]["list"]:
        if "expr" in annotation:
            yield Query(annotation["name"], filled(annotation["expr"]), annotation["titleFormat"])


def selected(expression: str) -> set[tuple[str, frozenset[str]]]:
    """Return the names of metrics in an expression, each with the labels that are asked of it."""
    found = re.findall(r"(?<![:\w])(tasks_\w+)(?:\{([^}]*)\})?", expression)
    return {(name, frozenset(re.findall(r"(\w+)\s*[=!]", labels))) for name, labels in found}
