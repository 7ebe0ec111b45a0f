"""Plots of several runs side by side, as in Figs. 11 to 13 of Iranfar et al. 2022 (multi-agent Q-learning)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netwright.report.compared import ComparedNetwork, ComparedRuns, Spread
from netwright.report.draw.search_figures import WINDOW
from netwright.report.draw.style import INK, QUIET, escaped, log_range, log_ticks, shorten, style, trial_ticks
from netwright.report.results import TrialRow

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHADES = (INK, QUIET, "#b9c0ca")
"""Of groups that stand side by side, over and over."""

NONE = "none"
"""The value of a setting that a search does not have."""

LONGEST = 46
"""Letters of a title in a plot."""

COLUMNS = 3
"""Panels beside one another."""

PANEL = 230
"""The height of a panel in pixels."""

SMOOTHED = 8
"""A moving average is over this share of a search's trials at most: one of 8."""


_SIZES_AT_THE_RIGHT = {
    "title": "parameters (lines)",
    "overlaying": "y",
    "side": "right",
    "rangemode": "tozero",
    "showgrid": False,
    "tickmode": "auto",
    "nticks": 6,
    "tickformat": "~s",
}


def places(compared: ComparedRuns) -> list[str]:
    """Where the networks stand in a plot: the values of the setting that runs are compared by, else their rows."""
    found = list(dict.fromkeys(place_of(compared, network) for network in compared.networks))
    numbered = {place: _number(place) for place in found}
    first = [place for place in found if not math.isnan(numbered[place])]
    return [*sorted(first, key=numbered.__getitem__), *(place for place in found if place not in first)]


def place_of(compared: ComparedRuns, network: ComparedNetwork) -> str:
    """Where a network stands. One that nobody searched has no value of a setting, and stands by itself."""
    by = compared.by
    return network.settings[by] or NONE if by is not None and network.searched else network.row


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def boxes_of_runs(compared: ComparedRuns) -> go.Figure:
    """How much runs of one search differ: boxes of score and of size, every run a dot (Fig. 11)."""
    import plotly.graph_objects as go

    metric = compared.metric
    searched = dict.fromkeys(network.group for network in compared.networks if network.searched)
    several = compared.by is not None and len(searched) > 1
    shades = {
        group: SHADES[number % len(SHADES)] if several else INK for number, group in enumerate(searched)
    }
    figure = go.Figure()
    for axis, value in (("x", _score), ("x2", _size)):
        for group in dict.fromkeys(network.group for network in compared.networks):
            own = [one for one in compared.networks if one.group == group and not math.isnan(value(one))]
            box = _box([value(one) for one in own], [escaped(place_of(compared, one)) for one in own], own)
            figure.add_trace(
                box.update(
                    name=_short(group),
                    line={"color": shades.get(group, QUIET), "width": 1.4},
                    legendgroup=group,
                    offsetgroup=group if group in searched else next(iter(searched), ""),
                    showlegend=several and axis == "x" and group in searched,
                    xaxis=axis,
                    yaxis=axis.replace("x", "y"),
                )
            )
    order = list(reversed(places(compared)))
    names = {"tickvals": list(map(escaped, order)), "ticktext": list(map(_short, order))}
    shared = {"categoryorder": "array", "categoryarray": names["tickvals"], "type": "category", **names}
    ends = log_range([float(one.parameters) for one in compared.networks if one.parameters])
    figure.update_layout(
        boxmode="group" if several else "overlay",
        xaxis={
            "title": f"test {escaped(metric.axis)} of a run",
            "domain": [0, 0.48],
            "tickformat": ".1%" if metric.classifies else "",
        },
        xaxis2={"title": "parameters", "domain": [0.54, 1], "anchor": "y2", "type": "log", "range": ends},
        yaxis={**shared, "title": escaped(compared.by or "")},
        yaxis2={**shared, "anchor": "x2", "showticklabels": False},
    )
    figure.update_layout(xaxis2=log_ticks(*ends))
    style(figure, height=110 + 54 * len(order))
    figure.update_yaxes(showgrid=False)
    return figure


def _score(network: ComparedNetwork) -> float:
    return network.score.mean


def _size(network: ComparedNetwork) -> float:
    return float(network.parameters or math.nan)


def _box(values: Sequence[float], places: Sequence[str], networks: Sequence[ComparedNetwork]) -> go.Box:
    """Boxes that lie, and a dot for each run.

    Args:
        values: of the runs.
        places: where they stand.
        networks: whose values they are.
    """
    import plotly.graph_objects as go

    return go.Box(
        x=values,
        y=places,
        text=[escaped(one.run) for one in networks],
        orientation="h",
        boxpoints="all",
        pointpos=0,
        jitter=0.3,
        fillcolor="rgba(0,0,0,0)",
        marker={"color": INK, "size": 6, "opacity": 0.5},
        hovertemplate="%{text}<br>%{x:.4g}<extra></extra>",
        hoveron="points",
    )


def bars_over_setting(compared: ComparedRuns) -> go.Figure:
    """The mean score as bars and the mean size as lines over the values of the setting, both with the standard
    deviation over runs (Fig. 12).
    """
    import plotly.graph_objects as go

    searched = [one for one in compared.networks if one.searched]
    groups = list(dict.fromkeys(one.group for one in searched))
    values = [place for place in places(compared) if any(place_of(compared, n) == place for n in searched)]
    figure = go.Figure()
    for number, group in enumerate(groups):
        shade, several = SHADES[number % len(SHADES)], len(groups) > 1
        cells = [[n for n in searched if (n.group, place_of(compared, n)) == (group, v)] for v in values]
        scores = [Spread.of([one.score.mean for one in cell]) for cell in cells]
        sizes = [Spread.of([one.parameters for one in cell]) for cell in cells]
        name = f"{escaped(shorten(group, LONGEST))}: " if several else ""
        figure.add_trace(
            go.Bar(
                x=values,
                y=[_or_none(one.mean) for one in scores],
                error_y=_errors(scores),
                name=f"{name}{escaped(compared.metric.name)}",
                marker={"color": shade, "opacity": 0.35},
                width=0.5 / len(groups),
                hovertemplate="%{x}<br>%{y:.4g}<extra></extra>",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[_or_none(one.mean) for one in sizes],
                error_y=_errors(sizes),
                name=f"{name}parameters",
                mode="lines+markers",
                line={"color": shade, "width": 2},
                marker={"size": 8},
                yaxis="y2",
                hovertemplate="%{x}<br>%{y:,.0f} parameters<extra></extra>",
            )
        )
    figure.update_layout(
        barmode="group",
        xaxis={"title": escaped(compared.by or ""), "type": "category"},
        yaxis={
            "title": f"test {escaped(compared.metric.axis)} (bars)",
            "rangemode": "tozero",
            "tickformat": ".0%" if compared.metric.classifies else "",
        },
        yaxis2=_SIZES_AT_THE_RIGHT,
    )
    style(figure, height=380)
    return figure


def _errors(spreads: Sequence[Spread]) -> dict[str, object]:
    return {
        "type": "data",
        "array": [0.0 if math.isnan(one.deviation) else one.deviation for one in spreads],
        "thickness": 1.2,
        "color": INK,
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def has_course(network: ComparedNetwork) -> bool:
    """Whether a run has a line in `courses_of_runs`: the result of a trial after the exploration."""
    return any(trial.reward is not None for trial in _after_exploration(network))


def courses_of_runs(compared: ComparedRuns) -> go.Figure:
    """How the searches went: a panel for each kind, a line for each run, the moving average of its trials' rewards
    (Fig. 13). Of a search in phases the exploration is left out.
    """
    from plotly.subplots import make_subplots

    shown = [one for one in compared.networks if has_course(one)]
    titles = list(dict.fromkeys((place_of(compared, n), n.group) for n in shown))
    order = places(compared)
    groups = list(dict.fromkeys(group for _, group in titles)) if compared.by is not None else [""]
    titles.sort(key=lambda title: (groups.index(title[1]) if len(groups) > 1 else 0, order.index(title[0])))
    several = len(groups) > 1
    rows = math.ceil(len(titles) / COLUMNS)
    figure = make_subplots(
        rows,
        min(COLUMNS, len(titles)),
        shared_yaxes="all",
        shared_xaxes="all",
        horizontal_spacing=0.04,
        vertical_spacing=0.3 / rows,
        subplot_titles=[_panel(compared, *title, several=several) for title in titles],
    )
    for number, title in enumerate(titles):
        row, column = divmod(number, COLUMNS)
        own = [one for one in shown if (place_of(compared, one), one.group) == title]
        for run, network in enumerate(own):
            figure.add_trace(_course(network, SHADES[run % len(SHADES)]), row=row + 1, col=column + 1)
    style(figure, height=80 + PANEL * rows)
    figure.update_annotations(font_size=13)
    figure.update_yaxes(title_text=escaped(compared.reward_name), col=1)
    figure.update_xaxes(**trial_ticks(max(len(_after_exploration(one)) for one in shown)))
    figure.update_xaxes(title_text="trial", row=rows)
    return figure


def _panel(compared: ComparedRuns, place: str, group: str, *, several: bool) -> str:
    if compared.by is None:
        return _short(place)
    return escaped(f"{compared.by} {place}") + (f"<br>{_short(group)}" if several else "")


def _after_exploration(network: ComparedNetwork) -> list[TrialRow]:
    return [trial for trial in network.course if trial.phase != "exploration"]


def _course(network: ComparedNetwork, colour: str) -> go.Scatter:
    import plotly.graph_objects as go

    trials = _after_exploration(network)
    rewards = np.array([np.nan if t.reward is None else t.reward for t in trials], dtype=np.float64)
    known = np.flatnonzero(~np.isnan(rewards))
    window = max(1, min(WINDOW, len(known) // SMOOTHED))
    sums = np.concatenate([[0.0], np.cumsum(rewards[known])])
    ends = np.arange(1, len(known) + 1)
    starts = np.maximum(0, ends - window)
    return go.Scatter(
        x=known.tolist(),
        y=((sums[ends] - sums[starts]) / (ends - starts)).tolist(),
        mode="lines+markers" if len(known) < 2 * WINDOW else "lines",
        line={"color": colour, "width": 1.6},
        marker={"size": 4},
        name=escaped(network.run),
        showlegend=False,
        hovertemplate=f"{escaped(network.run)}<br>trial %{{x}}: %{{y:.4g}}<extra></extra>",
    )


def _short(title: str) -> str:
    return escaped(shorten(title, LONGEST))
