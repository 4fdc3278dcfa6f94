"""How all plots of the bench look."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, PALE, GRID = "#22272e", "#6b7280", "#e5e7eb"
OURS, OTHERS, DATABASE, WRITES = "#0f766e", "#94a3b8", "#f0b429", "#c2410c"
STYLE: dict[str, Any] = {"fontsize": 9, "color": INK}


def bare(panel: Axes) -> None:
    for side in ("top", "right", "bottom", "left"):
        panel.spines[side].set_visible(False)
    panel.tick_params(length=0, which="both")


def title(figure: Figure, text: str, explained: str) -> None:
    top = 1 - 0.2 / figure.get_figheight()
    figure.text(0.01, top, text, fontsize=13, fontweight="bold", color=INK)
    figure.text(0.01, top - 0.24 / figure.get_figheight(), explained, fontsize=9, color=PALE)
