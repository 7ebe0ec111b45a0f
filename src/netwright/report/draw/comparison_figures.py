"""Plots of the final comparison: training curves and every test case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netwright.report.draw.style import DASHES, INK, QUIET, escaped, network_title, style, words
from netwright.report.metrics import Metric
from netwright.report.summaries import Summary

if TYPE_CHECKING:
    import plotly.graph_objects as go


LOSSES = ("loss",)
SCORES = ("score", "dice", "accuracy", "psnr")
"""A curve whose name contains one of these words is a score; any other is a loss."""


def training_curves(
    curves: Mapping[str, Mapping[str, Sequence[float]]], seconds: Mapping[str, float], metric: Metric
) -> go.Figure:
    """Losses on the left, validation scores on the right. Each network has its own dash; a single network has a dash
    for each curve.

    Args:
        curves: network -> name of the curve -> one value an epoch.
        seconds: network -> its training time, for a time axis. If a network is missing, the axis counts epochs.
        metric: what the scores are.
    """
    import plotly.graph_objects as go

    timed = bool(curves) and all(seconds.get(name) for name in curves)
    several = len(curves) > 1
    figure = go.Figure()
    for i, (network, named) in enumerate(curves.items()):
        for axis, kind in (("x", LOSSES), ("x2", SCORES)):
            curves_of_kind = {
                name: values
                for name, values in named.items()
                if len(values) and any(word in name for word in kind)
            }
            for j, (name, values) in enumerate(curves_of_kind.items()):
                scale = seconds[network] / 60 / len(values) if timed else 1.0
                line = _curve(values, scale, dash=DASHES[(i if several else j) % len(DASHES)], first=i == 0)
                label = network if several else words(name)
                figure.add_trace(
                    line.update(
                        name=escaped(label),
                        legendgroup=label,
                        showlegend=(axis == "x" and j == 0) if several else len(curves_of_kind) > 1,
                        xaxis=axis,
                        yaxis=axis.replace("x", "y"),
                        hovertemplate=f"{escaped(network)}<br>{escaped(words(name))} %{{y:.4g}}<extra></extra>",
                    )
                )
    title = "minutes of training" if timed else "epoch"
    figure.update_layout(
        xaxis={"title": title, "domain": [0, 0.43]},
        xaxis2={"title": title, "domain": [0.58, 1], "anchor": "y2"},
        yaxis={"title": "loss"},
        yaxis2={"title": f"validation {escaped(metric.axis)}", "anchor": "x2"},
    )
    style(figure, height=330)
    return figure


def _curve(values: Sequence[float], scale: float, *, dash: str, first: bool) -> go.Scatter:
    """One value an epoch, at the ends of the epochs times ``scale``. Epochs without a validation are bridged."""
    import plotly.graph_objects as go

    known = sum(v is not None and bool(np.isfinite(v)) for v in values)
    return go.Scatter(
        x=[scale * (epoch + 1) for epoch in range(len(values))],
        y=[None if v is None or not np.isfinite(v) else float(v) for v in values],
        mode="lines" if 1 < known == len(values) else "lines+markers",
        connectgaps=True,
        line={"dash": dash, "color": INK if first else QUIET, "width": 2.2 if first else 1.4},
        marker={"color": INK if first else QUIET},
    )


def score_by_case(summaries: Sequence[Summary], metric: Metric) -> go.Figure:
    """Every test case as a dot beside its contestant's box: the mean over its labels, or the score that counts."""
    import plotly.graph_objects as go

    tested = [s for s in summaries if s.tested]
    digits = ".1f" if metric.unit else ".3f"
    mean = "" if metric.column else ", mean over the labels"
    figure = go.Figure()
    for summary in tested:
        figure.add_trace(
            go.Box(
                x=list(summary.case_scores.values()),
                name=escaped(network_title(summary)),
                text=[escaped(name) for name in summary.case_scores],
                orientation="h",
                boxpoints="all",
                pointpos=0,
                jitter=0.55,
                fillcolor="rgba(0,0,0,0)",
                line={"color": INK if summary.searched else QUIET, "width": 1.4},
                marker={"color": INK, "size": 5, "opacity": 0.35},
                hovertemplate=f"%{{text}}<br>{escaped(metric.name)} %{{x:{digits}}}<extra></extra>",
                hoveron="points",
                showlegend=False,
            )
        )
    figure.update_layout(
        xaxis={"title": f"{escaped(metric.axis)} of a test {metric.case}{mean}"},
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    style(figure, height=100 + 62 * max(1, len(tested)))
    return figure
