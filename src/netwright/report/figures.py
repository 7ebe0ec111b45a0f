"""The report's plots, by plotly. Colour means status and nothing else; networks differ by shape and dash."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.report import formatting
from netwright.report.content import TrialRow
from netwright.report.statistics import pareto_front
from netwright.report.summaries import Summary

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


def status_colour(status: str) -> str:
    """The one colour of a status, in every plot and table."""
    return STATUS_COLOURS.get(status, QUIET)


def best_so_far(trials: Sequence[TrialRow], reward_name: str) -> go.Figure:
    """Trials as dots over their number, the best so far as a line; those without a reward in lanes below."""
    import plotly.graph_objects as go

    figure = go.Figure()
    rewarded = [t for t in trials if t.reward is not None]
    lanes = [s for s in _statuses(trials) if any(t.status == s and t.reward is None for t in trials)]
    figure.add_trace(
        go.Scatter(
            x=[t.number for t in trials],
            y=_running_best(trials),
            mode="lines",
            line={"shape": "hv", "color": INK, "width": 2},
            name="best so far",
            hoverinfo="skip",
        )
    )
    for status in _statuses(rewarded):
        chosen = [t for t in rewarded if t.status == status]
        figure.add_trace(_dots(chosen, [t.reward for t in chosen], status, legend=True))
    for status in lanes:
        chosen = [t for t in trials if t.status == status and t.reward is None]
        lane = [formatting.status(status)] * len(chosen)
        figure.add_trace(
            _dots(chosen, lane, status, legend=not any(t.status == status for t in rewarded), axis="y2")
        )
    share = 0.075 * len(lanes)
    numbers = [t.number for t in trials]
    figure.update_layout(
        xaxis={
            "title": "trial",
            "range": [min(numbers, default=0) - 0.8, max(numbers, default=0) + 0.8],
            "anchor": "y2" if lanes else "y",
        },
        yaxis={"title": _text(reward_name), "domain": [share + 0.04 if lanes else 0, 1]},
        yaxis2={
            "domain": [0, share] if lanes else [0, 0.01],
            "type": "category",
            "showgrid": False,
            "visible": bool(lanes),
            "range": [-0.6, max(1, len(lanes)) - 0.4],
        },
    )
    _style(figure, height=360 + 22 * len(lanes))
    return figure


def size_against_dice(
    trials: Sequence[TrialRow], summaries: Sequence[Summary], reward_name: str
) -> go.Figure:
    """Parameters against the search's reward with its Pareto front; beside it, the contestants' test Dice.

    Two panels, because a short training's validation Dice and a full training's test Dice are not comparable.
    """
    import plotly.graph_objects as go

    known = [t for t in trials if t.reward is not None and t.parameters]
    tested = [s for s in summaries if s.tested and s.contestant.parameters]
    figure = go.Figure()
    for status in _statuses(known):
        chosen = [t for t in known if t.status == status]
        dots = _dots(chosen, [t.reward for t in chosen], status, legend=False)
        figure.add_trace(dots.update(x=[t.parameters for t in chosen]))
    front = [
        known[i]
        for i in pareto_front([(t.parameters or 0, -(t.reward or 0.0)) for t in known])
        if known[i].status == "complete"
    ]
    figure.add_trace(
        go.Scatter(
            x=[t.parameters for t in front],
            y=[t.reward for t in front],
            mode="lines",
            line={"color": INK, "width": 1.5, "shape": "hv"},
            name="Pareto front",
            hoverinfo="skip",
        )
    )
    for i, summary in enumerate(tested):
        figure.add_trace(_contestant_point(summary, SYMBOLS[i % len(SYMBOLS)]))
        figure.add_annotation(_contestant_name(summary))
    halves: tuple[list[float], list[float]] = ([0, 0.46], [0.56, 1]) if tested else ([0, 1], [0.99, 1])
    sizes = [float(t.parameters or 1) for t in known] + [float(s.contestant.parameters or 1) for s in tested]
    shared = {"type": "log", "title": "parameters", "range": _log_range(sizes), "dtick": 1}
    figure.update_layout(
        xaxis={**shared, "domain": halves[0]},
        xaxis2={**shared, "domain": halves[1], "anchor": "y2", "visible": bool(tested)},
        yaxis={"title": f"{_text(reward_name)}, in the search"},
        yaxis2={"title": "test Dice, after full training", "anchor": "x2", "visible": bool(tested)},
    )
    _style(figure, height=380)
    return figure


def training_curves(
    curves: Mapping[str, Mapping[str, Sequence[float]]], seconds: Mapping[str, float]
) -> go.Figure:
    """Losses on the left, Dice on the right: a dash a network, or a dash a curve where there is one network.

    ``curves``: network -> name of the curve -> one value an epoch. ``seconds``: network -> its training
    time, for a time axis; networks that it lacks put all on an axis of epochs.
    """
    import plotly.graph_objects as go

    timed = bool(curves) and all(seconds.get(name) for name in curves)
    several = len(curves) > 1
    figure = go.Figure()
    for i, (network, named) in enumerate(curves.items()):
        for axis, word in (("x", "loss"), ("x2", "dice")):
            shown = {name: values for name, values in named.items() if word in name and len(values)}
            for j, (name, values) in enumerate(shown.items()):
                scale = seconds[network] / 60 / len(values) if timed else 1.0
                line = _curve(values, scale, dash=DASHES[(i if several else j) % len(DASHES)], first=i == 0)
                label = network if several else _words(name)
                figure.add_trace(
                    line.update(
                        name=_text(label),
                        legendgroup=label,
                        showlegend=(axis == "x" and j == 0) if several else len(shown) > 1,
                        xaxis=axis,
                        yaxis=axis.replace("x", "y"),
                        hovertemplate=f"{_text(network)}<br>{_text(_words(name))} %{{y:.4g}}<extra></extra>",
                    )
                )
    title = "minutes of training" if timed else "epoch"
    figure.update_layout(
        xaxis={"title": title, "domain": [0, 0.46]},
        xaxis2={"title": title, "domain": [0.56, 1], "anchor": "y2"},
        yaxis={"title": "loss"},
        yaxis2={"title": "Dice", "anchor": "x2"},
    )
    _style(figure, height=330)
    return figure


def _curve(values: Sequence[float], scale: float, *, dash: str, first: bool) -> go.Scatter:
    """One value an epoch, at the epochs' ends times ``scale``; epochs that were not validated are bridged."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=[scale * (epoch + 1) for epoch in range(len(values))],
        y=[None if v is None or not np.isfinite(v) else float(v) for v in values],
        mode="lines" if len(values) > 1 else "markers",
        connectgaps=True,
        line={"dash": dash, "color": INK if first else QUIET, "width": 2.2 if first else 1.4},
        marker={"color": INK if first else QUIET},
    )


def dice_by_case(summaries: Sequence[Summary]) -> go.Figure:
    """Every test case as a dot beside the box of its contestant, mean over the labels."""
    import plotly.graph_objects as go

    tested = [s for s in summaries if s.tested]
    figure = go.Figure()
    for summary in tested:
        figure.add_trace(
            go.Box(
                x=list(summary.case_dice.values()),
                name=_text(_title(summary)),
                text=[_text(name) for name in summary.case_dice],
                orientation="h",
                boxpoints="all",
                pointpos=0,
                jitter=0.55,
                fillcolor="rgba(0,0,0,0)",
                line={"color": INK if summary.searched else QUIET, "width": 1.4},
                marker={"color": INK, "size": 5, "opacity": 0.35},
                hovertemplate="%{text}<br>Dice %{x:.3f}<extra></extra>",
                hoveron="points",
                showlegend=False,
            )
        )
    figure.update_layout(
        xaxis={"title": "Dice of a test case, mean over the labels"},
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    _style(figure, height=100 + 62 * max(1, len(tested)))
    return figure


def _dots(
    trials: Sequence[TrialRow], y: Sequence[Any], status: str, *, legend: bool, axis: str = "y"
) -> go.Scatter:
    import plotly.graph_objects as go

    colour = status_colour(status)
    return go.Scatter(
        x=[t.number for t in trials],
        y=list(y),
        yaxis=axis,
        mode="markers",
        name=formatting.status(status),
        legendgroup=status,
        showlegend=legend,
        marker={
            "symbol": STATUS_SYMBOLS.get(status, "circle"),
            "size": 8,
            # Hollow: trained before under another number, taken from the cache.
            "color": ["#ffffff" if t.cached_from is not None else colour for t in trials],
            "line": {"color": colour, "width": 1.4},
        },
        text=[_hover(t) for t in trials],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(trial: TrialRow) -> str:
    lines = [f"trial {trial.number}: {formatting.status(trial.status)}"]
    if trial.reward is not None:
        lines.append(
            f"{formatting.dice(trial.reward)} · {formatting.parameters(trial.parameters)} parameters"
        )
    if trial.cached_from is not None:
        lines.append(f"same network as trial {trial.cached_from}")
    lines += [_shorten(text) for text in (trial.choice, trial.reason) if text]
    return "<br>".join(_text(line) for line in lines)


def _contestant_point(summary: Summary, symbol: str) -> go.Scatter:
    import plotly.graph_objects as go

    overall = summary.overall
    known = np.isfinite(overall.low)
    return go.Scatter(
        x=[summary.contestant.parameters],
        y=[overall.mean],
        xaxis="x2",
        yaxis="y2",
        mode="markers",
        text=[_text(_title(summary))],
        marker={"symbol": symbol, "size": 13 if summary.searched else 9, "color": INK},
        error_y={
            "type": "data",
            "array": [overall.high - overall.mean if known else 0],
            "arrayminus": [overall.mean - overall.low if known else 0],
            "color": QUIET,
            "thickness": 1.2,
            "width": 4,
        },
        hovertemplate="%{text}<br>Dice %{y:.3f}<br>%{x:,} parameters<extra></extra>",
        showlegend=False,
    )


def _contestant_name(summary: Summary) -> dict[str, Any]:
    """The name above the interval, where the bars of neighbours seldom reach."""
    overall = summary.overall
    return {
        "xref": "x2",
        "yref": "y2",
        "x": float(np.log10(summary.contestant.parameters or 1)),
        "y": overall.high if np.isfinite(overall.high) else overall.mean,
        "text": _text(_title(summary)),
        "yanchor": "bottom",
        "yshift": 3,
        "showarrow": False,
        "font": {"size": 12, "color": INK, "weight": 700 if summary.searched else 400},
        "bgcolor": "rgba(255,255,255,0.75)",
        "borderpad": 1,
    }


def _running_best(trials: Sequence[TrialRow]) -> list[float | None]:
    best: float | None = None
    curve: list[float | None] = []
    for trial in trials:
        if trial.reward is not None and trial.status == "complete" and (best is None or trial.reward > best):
            best = trial.reward
        curve.append(best)
    return curve


def _statuses(trials: Sequence[TrialRow]) -> list[str]:
    """The statuses that occur, the known ones first and in their order."""
    present = {t.status for t in trials}
    return [s for s in STATUS_COLOURS if s in present] + sorted(present - set(STATUS_COLOURS))


def _title(summary: Summary) -> str:
    return "Searched" if summary.searched else formatting.sentence_case(summary.contestant.title)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(text: str) -> str:
    """Plotly reads a little HTML in its texts."""
    return html.escape(text)


def _shorten(text: str, limit: int = 90) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _log_range(values: Sequence[float]) -> list[float]:
    """Decimal logarithms of the extremes, with room at both ends."""
    if not values:
        return [4.0, 7.0]
    low, high = np.log10(min(values)), np.log10(max(values))
    room = 0.12 * max(0.8, high - low)
    return [float(low - room), float(high + room)]


def _style(figure: go.Figure, *, height: int) -> None:
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
