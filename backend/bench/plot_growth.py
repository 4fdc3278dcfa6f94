"""The plot of growth: what a request costs in a growing table, and what a list costs as it gets longer."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.growth_points import Points, points
from bench.plot_style import GRID, INK, OURS, PALE, STYLE, WRITES, bare, title


def growth(report: Mapping[str, Any]) -> Figure:
    """Draw CPU time for a request against the number of tasks, of all users and of one."""
    table, one = points(report["figures"])
    figure = Figure(figsize=(11, 3.8))
    left, right = figure.subplots(1, 2)
    for name, colour in (("list of 20", OURS), ("get one", WRITES)):
        _curve(left, table.get(name, {}), colour, name)
    left.set_xscale("log")
    left.set_ylim(bottom=0)
    left.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=INK)
    left.set_title("tasks in the table", loc="left", **STYLE)
    _curve(right, one, OURS, "list")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_title("tasks of the user, who lists them all", loc="left", **STYLE)
    title(figure, "As it grows", "µs of CPU for a request, app and PostgreSQL; medians")
    figure.subplots_adjust(top=0.78, wspace=0.2)
    return figure


def _curve(panel: Axes, found: Points, colour: str, label: str) -> None:
    panel.plot([*found], [*found.values()], "o-", color=colour, markersize=5, linewidth=1.6, label=label)
    panel.xaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    panel.yaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    panel.tick_params(labelsize=9, labelcolor=PALE)
    panel.minorticks_off()
    panel.grid(color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    bare(panel)
