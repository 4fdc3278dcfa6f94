"""The plots of a report, drawn from its JSON: what a request costs, and how long it takes under load."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.plot_growth import growth
from bench.plot_style import DATABASE, GRID, INK, OTHERS, OURS, PALE, STYLE, WRITES, bare, title
from bench.ratios import CONNECTIONS
from bench.work import WORKS

_MILLISECONDS = (5, 10, 20, 50, 100, 200, 500, 1000)

Report = Mapping[str, Any]


def draw(report: Report, folder: Path) -> list[Path]:
    """Draw everything that the report has figures for, as PNG and as SVG."""
    made = []
    for name, plot in (("cost", cost(report)), ("latency", latency(report)), ("growth", growth(report))):
        FigureCanvasAgg(plot)
        for suffix, options in ((".png", {"dpi": 160}), (".svg", {"metadata": {"Date": None}})):
            made.append(folder / f"{name}{suffix}")
            plot.savefig(made[-1], facecolor="white", bbox_inches="tight", **options)
    return made


def cost(report: Report) -> Figure:
    """Draw CPU time for a request, a panel for each kind of work: the app's and the database's."""
    works = [name for name in WORKS if name != "unchanged"]
    figure = Figure(figsize=(11, 5.6))
    axes = figure.subplots(2, 4)
    for place, panel in enumerate(axes.flat):
        if place < len(works):
            _costs_of(panel, report, works[place], named=place % 4 == 0)
        else:
            _legend(panel)
    title(figure, "CPU time for a request", "µs, medians; shorter is better; each panel has its own scale")
    figure.subplots_adjust(wspace=0.32, hspace=0.3, top=0.86, left=0.17)
    return figure


def _costs_of(panel: Axes, report: Report, work: str, *, named: bool) -> None:
    names = [name for name in report["subjects"] if name != "starlette"]
    cells = {cell["subject"]: cell for cell in report["cells"] if _is(cell, work)}
    ranks = range(len(names), 0, -1)
    for rank, name in zip(ranks, names, strict=True):
        if name in cells:
            app, database = cells[name]["app"], cells[name]["database"]
            panel.barh(rank, app, color=OURS if name == "ours" else OTHERS, height=0.66)
            panel.barh(rank, database, left=app, color=DATABASE, height=0.66)
            panel.text(app + database, rank, f" {app + database:,.0f}", va="center", **STYLE)
    titles = [report["subjects"][name] if named else "" for name in names]
    panel.set_yticks(ranks, titles, **STYLE)
    panel.get_yticklabels()[0].set_fontweight("bold")
    panel.set_title(WORKS[work].title, loc="left", fontsize=10, color=INK, fontweight="bold")
    panel.set_xlim(0, panel.get_xlim()[1] * 1.25)
    panel.set_xticks([])
    bare(panel)


def _is(cell: Mapping[str, Any], work: str) -> bool:
    return bool(cell["work"] == work and cell["connections"] == CONNECTIONS)


def _legend(panel: Axes) -> None:
    panel.axis("off")
    for rank, (colour, text) in enumerate(
        ((OURS, "Tasks API, the app"), (OTHERS, "others, the app"), (DATABASE, "PostgreSQL"))
    ):
        panel.barh(-rank, 0.12, color=colour, height=0.5)
        panel.text(0.18, -rank, text, va="center", **STYLE)
    panel.set_xlim(0, 1)
    panel.set_ylim(-4.5, 1)


def latency(report: Report) -> Figure:
    """Draw how long requests take with 100 connections, 80 reading and 20 writing: p50, p95 and p99."""
    mixed = {entry["subject"]: entry for entry in report["mixed"]}
    names = [name for name in report["subjects"] if name in mixed]
    figure = Figure(figsize=(9, 0.62 * len(names) + 1.6))
    panel = figure.subplots()
    for rank, name in zip(range(len(names), 0, -1), names, strict=True):
        _range(panel, rank + 0.17, mixed[name]["reads"], OURS, "reads" if name == names[0] else "")
        _range(panel, rank - 0.17, mixed[name]["writes"], WRITES, "writes" if name == names[0] else "")
    panel.set_xscale("log")
    panel.set_xticks(_MILLISECONDS)
    panel.minorticks_off()
    panel.set_yticks(range(len(names), 0, -1), [report["subjects"][name] for name in names], **STYLE)
    panel.set_ylim(0.4, len(names) + 0.6)
    panel.get_yticklabels()[0].set_fontweight("bold")
    panel.xaxis.set_major_formatter(lambda value, _place: f"{value:,.0f} ms")
    panel.tick_params(axis="x", labelsize=9, labelcolor=PALE)
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.legend(loc="upper right", frameon=False, fontsize=9, labelcolor=INK)
    bare(panel)
    title(
        figure,
        "100 connections at once",
        "80 read while 20 write; p50 (dot), p95 (bar) and p99 (end)",
    )
    figure.subplots_adjust(top=1 - 0.75 / figure.get_figheight(), left=0.27)
    return figure


def _range(panel: Axes, rank: float, found: Mapping[str, float], colour: str, label: str) -> None:
    panel.plot([found["p50"], found["p99"]], [rank, rank], color=colour, linewidth=1.6, alpha=0.6)
    panel.plot(found["p50"], rank, "o", color=colour, markersize=6, label=label)
    panel.plot(found["p95"], rank, "|", color=colour, markersize=10, markeredgewidth=2)
    panel.plot(found["p99"], rank, "|", color=colour, markersize=6, markeredgewidth=1.4)
