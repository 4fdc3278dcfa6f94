"""A dashboard as a picture: every panel at its place, with its bound, as Grafana would lay it out."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tests.dashboard import dashboard, filled
from tests.watching import Prometheus

_COLUMN, _ROW, _GAP = 0.75, 0.42, 0.06  # inches
_COLUMNS = 24
_BACKGROUND, _PANEL, _LINE, _TEXT, _FAINT = "#111217", "#181b1f", "#2c3235", "#d8d9da", "#8e8e8e"
_GREEN, _RED = "#299c46", "#e02f44"
_PALETTE = (
    *("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0"),
    *("#37872d", "#e0b400", "#1f60c4", "#fa6400", "#c4162a", "#8f3bb8", "#96d98d"),
)
_RATE_SECONDS = 10
_DAY_SECONDS = 86_400
_LEGEND_LINES = 5
_WITHOUT_FRACTION = 100


@dataclass(frozen=True)
class Moments:
    """What the picture shows, in seconds since 1970."""

    start: float
    end: float


@dataclass(frozen=True)
class _Series:
    name: str
    times: list[float]  # in days since 1970, as matplotlib counts
    values: list[float]


def draw(watching: Prometheus, moments: Moments, picture: Path) -> None:
    """Draw all panels as they are answered for these moments."""
    panels = dashboard()["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    with mpl.rc_context({"text.color": _TEXT, "font.size": 8, "text.parse_math": False}):
        figure = Figure(figsize=(_COLUMNS * _COLUMN, rows * _ROW), facecolor=_BACKGROUND, dpi=100)
        for panel in panels:
            _draw_panel(figure, panel, rows, [] if panel["type"] == "row" else _ask(watching, panel, moments))
        figure.savefig(picture)


def _ask(watching: Prometheus, panel: dict[str, Any], moments: Moments) -> list[_Series]:
    found = []
    for target in panel["targets"]:
        expression = filled(target["expr"].replace("$__rate_interval", f"{_RATE_SECONDS}s"))
        for one in watching.query_range(expression, moments.start, moments.end, step=1):
            points = [(at, float(value)) for at, value in one["values"] if math.isfinite(float(value))]
            name = target["legendFormat"]
            for label, value in one["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", value)
            if points:
                times = [at / _DAY_SECONDS for at, _ in points]
                found.append(_Series(name, times, [value for _, value in points]))
    return found


def _draw_panel(figure: Figure, panel: dict[str, Any], rows: int, series: list[_Series]) -> None:
    at = panel["gridPos"]
    wide, high = figure.get_size_inches()
    left, bottom = at["x"] * _COLUMN + _GAP, (rows - at["y"] - at["h"]) * _ROW + _GAP
    width, height = at["w"] * _COLUMN - 2 * _GAP, at["h"] * _ROW - 2 * _GAP
    top = (bottom + height) / high
    if panel["type"] == "row":
        figure.text(left / wide, bottom / high + 0.0015, panel["title"], fontsize=12, weight="bold")
        return
    title = panel["title"].replace("$quantile", "p95")
    face = _PANEL
    if panel["type"] == "stat":
        face = _judged(panel, series)
    box = (left / wide, bottom / high)
    style: dict[str, Any] = {
        "zorder": -1,
        "boxstyle": "round,pad=0,rounding_size=0.002",
        "facecolor": face,
        "edgecolor": _LINE,
    }
    figure.add_artist(FancyBboxPatch(box, width / wide, height / high, mutation_aspect=wide / high, **style))
    figure.text((left + 0.12) / wide, top - 0.22 / high, title, fontsize=9.5, weight="bold")
    if panel["type"] == "stat":
        _draw_stat(figure, panel, series, ((left + width / 2) / wide, (bottom + height * 0.5) / high))
        inside = (left, bottom + 0.04, width, height * 0.3)
    else:
        legend = 0.19 * min(len(series), _LEGEND_LINES) + 0.12
        inside = (left + 0.62, bottom + legend + 0.28, width - 0.8, height - legend - 0.68)
    axes = figure.add_axes((inside[0] / wide, inside[1] / high, inside[2] / wide, inside[3] / high))
    (_draw_trend if panel["type"] == "stat" else _draw_series)(axes, panel, series)


def _bound(panel: dict[str, Any]) -> float | None:
    *_, last = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    bound: float | None = last["value"]
    return bound


def _judged(panel: dict[str, Any], series: list[_Series]) -> str:
    bound = _bound(panel)
    return _RED if bound is not None and series and series[0].values[-1] >= bound else _GREEN


def _draw_stat(figure: Figure, panel: dict[str, Any], series: list[_Series], at: tuple[float, float]) -> None:
    value = _formatted(series[0].values[-1], panel) if series else "no requests"
    figure.text(*at, value, fontsize=25, weight="bold", color="white", ha="center", va="center")


def _draw_trend(axes: Axes, _panel: dict[str, Any], series: list[_Series]) -> None:
    axes.set_axis_off()
    for one in series:
        axes.fill_between(one.times, one.values, color="white", alpha=0.25, linewidth=0)
        axes.set_ylim(0, max(one.values) * 1.1 or 1)
        axes.margins(x=0)


def _draw_series(axes: Axes, panel: dict[str, Any], series: list[_Series]) -> None:
    colors = [_PALETTE[number % len(_PALETTE)] for number in range(len(series))]
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal":
        _draw_stacked(axes, series, colors)
    else:
        for one, color in zip(series, colors, strict=True):
            axes.plot(one.times, one.values, color=color, linewidth=1.5)
            axes.fill_between(one.times, one.values, color=color, alpha=0.07, linewidth=0)
    bound = _bound(panel)
    if bound is not None:
        axes.axhline(bound, color=_RED, linewidth=1.2, linestyle=(0, (5, 4)))
    axes.set_facecolor(_PANEL)
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.grid(color=_LINE, linewidth=0.7)
    axes.tick_params(colors=_FAINT, length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _formatted(value, panel)))
    axes.xaxis.set_major_locator(mpl.dates.AutoDateLocator(maxticks=6))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))
    _draw_legend(axes, panel, series, colors)


def _draw_stacked(axes: Axes, series: list[_Series], colors: list[str]) -> None:
    times = sorted({at for one in series for at in one.times})
    known = [dict(zip(one.times, one.values, strict=True)) for one in series]
    axes.stackplot(
        times, [[values.get(at, 0) for at in times] for values in known], colors=colors, alpha=0.75
    )


def _draw_legend(axes: Axes, panel: dict[str, Any], series: list[_Series], colors: list[str]) -> None:
    """Write below the panel what Grafana's legend has: the name, the last value, the greatest."""
    shown = sorted(zip(series, colors, strict=True), key=lambda pair: -max(pair[0].values))
    for number, (one, color) in enumerate(shown[:_LEGEND_LINES]):
        rest = len(shown) - _LEGEND_LINES
        more = f"   (and {rest} more)" if number == _LEGEND_LINES - 1 and rest > 0 else ""
        last, most = _formatted(one.values[-1], panel), _formatted(max(one.values), panel)
        offset: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 8}
        place = -27 - 13.5 * number
        axes.annotate("■", (0, 0), xytext=(-32, place), color=color, **offset)
        axes.annotate(one.name + more, (0, 0), xytext=(-20, place), color=_TEXT, **offset)
        axes.annotate(
            f"last {last}   max {most}", (1, 0), xytext=(0, place), color=_FAINT, ha="right", **offset
        )


def _formatted(value: float, panel: dict[str, Any]) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if unit == "s":
        for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return "0"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    number = f"{value:.0f}" if abs(value) >= _WITHOUT_FRACTION else f"{value:.3g}"
    return number + {"reqps": " req/s", "ops": " /s"}.get(unit, "")
