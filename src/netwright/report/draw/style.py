"""What the report's plots share: colours, symbols, fonts, axes. A colour means a status, or the value of a cell."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.report import formatting
from netwright.report.sections import Badge
from netwright.report.summaries import SEARCHED_TITLE, Summary

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK, QUIET, GRID = "#1c2430", "#7b8494", "#e6e9ee"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

STATUS_COLOURS = {
    "complete": "#0072B2",
    "infeasible": "#8a93a0",
    "out_of_memory": "#D55E00",
    "too_slow": "#E69F00",
    "loss_stalled": "#CC79A7",
    "diverged": "#7a4fbf",
    "crashed": "#a3142b",
    "running": "#2aa198",
}
STATUS_SYMBOLS = {
    "complete": "circle",
    "infeasible": "x",
    "out_of_memory": "square",
    "too_slow": "triangle-right",
    "loss_stalled": "diamond",
    "diverged": "triangle-up",
    "crashed": "cross",
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("star", "circle-open", "square-open", "diamond-open", "triangle-up-open", "cross-open", "x-open")
FEW_TRIALS = 10
PHASE_TINT = "#eef1f5"

COLOURS = "Viridis"
"""The colour scale for values."""

UNVISITED = "#e9ecf1"
BEST = "#D55E00"


def status_colour(status: str) -> str:
    """The one colour of a status, in every plot and table."""
    return STATUS_COLOURS.get(status, QUIET)


def in_order(statuses: Collection[str]) -> list[str]:
    """The different statuses: the known ones first, in their order."""
    return [s for s in STATUS_COLOURS if s in statuses] + sorted(set(statuses) - set(STATUS_COLOURS))


def network_title(summary: Summary) -> str:
    """The name of a contestant in a plot."""
    title = summary.contestant.title
    return "Searched" if title == SEARCHED_TITLE else formatting.sentence_case(title)


def words(name: str) -> str:
    """The name of a curve or a status in words."""
    return name.replace("_", " ")


def escaped(text: str) -> str:
    """Text that is safe for plotly, which reads a little HTML."""
    return html.escape(text)


def shorten(text: str, limit: int = 90) -> str:
    """The text with at most ``limit`` letters. The last is an ellipsis where it was shortened."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def log_range(values: Sequence[float]) -> list[float]:
    """Decimal logarithms of the smallest and largest value, with room at both ends."""
    if not values:
        return [4.0, 7.0]
    low, high = np.log10(min(values)), np.log10(max(values))
    room = 0.12 * max(0.8, high - low)
    return [float(low - room), float(high + room)]


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of an axis between two decimal logarithms: powers of ten, or three even ones if there are fewer than two
    powers.
    """
    if math.floor(high) > math.ceil(low):
        return {"dtick": 1}
    values = [float(f"{value:.2g}") for value in np.logspace(low, high, 5)[1:-1]]
    return {"tickvals": values, "ticktext": [formatting.parameters(int(value)) for value in values]}


def trial_ticks(count: int) -> dict[str, Any]:
    """Ticks of an axis of so many trials. A few have one each, as there is no half a trial."""
    return {"dtick": 1} if count <= FEW_TRIALS else {}


def style(figure: go.Figure, *, height: int) -> None:
    """Sets fonts, margins and axes of a plot, and its ``height`` in pixels."""
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": "#b9c0ca",
        "ticks": "outside",
        "tickcolor": "#b9c0ca",
        "automargin": True,
        "title_font_size": 13,
        "title_standoff": 10,
    }
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 34, "b": 48},
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"bgcolor": "#ffffff", "bordercolor": "#b9c0ca", "font": {"color": INK}},
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)


def status_badge(status: str, *, hollow: bool = False) -> Badge:
    """A status in words with its colour."""
    return Badge(formatting.status(status), status_colour(status), hollow)


def colour_scale(count: int) -> list[str]:
    """``count`` colours from low to high."""
    from plotly.colors import sample_colorscale

    at = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
    return list(sample_colorscale(COLOURS, at.tolist()))
