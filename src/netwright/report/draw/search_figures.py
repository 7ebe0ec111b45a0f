"""Plots of the search: the reward of every trial and its phases, and size against reward and test score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netwright.pareto import pareto_front
from netwright.report import formatting
from netwright.report.draw.style import (
    INK,
    PHASE_TINT,
    QUIET,
    STATUS_SYMBOLS,
    SYMBOLS,
    escaped,
    in_order,
    log_range,
    log_ticks,
    network_title,
    shorten,
    status_colour,
    style,
    trial_ticks,
)
from netwright.report.metrics import Metric
from netwright.report.results import TrialRow
from netwright.report.summaries import Summary

if TYPE_CHECKING:
    import plotly.graph_objects as go

WINDOW = 25
"""The number of trials in the moving average of the reward, for a search in phases."""

PANEL_HEIGHT = 290.0
"""About the height of the panels of sizes and scores, in pixels."""

NAME_HEIGHT = 17.0
"""Pixels from one network's name to the next."""

PHASES = {"exploration": "exploration", "exploitation": "exploration-exploitation"}
"""A phase's name, and its name in the paper (multi-agent Q-learning, section VI)."""


def best_so_far(trials: Sequence[TrialRow], reward_name: str, penalty: float | None = None) -> go.Figure:
    """Trials as dots over their number, the best so far as a line. Trials without a reward are in lanes below.

    Where the strategy has phases, they are shaded, and the reward's moving average is drawn (Fig. 9 of the multi-agent
    Q-learning paper). ``penalty`` is the number that the strategy got for a trial in the lanes.

    Args:
        trials: of the run.
        reward_name: for the axis.
        penalty: what the strategy got for trials in the lanes; None: they have no value.
    """
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
    if any(t.phase for t in trials):
        figure.add_trace(_moving_average(rewarded))
    size = 8 if len(trials) <= 200 else 5
    for status in _statuses(rewarded):
        chosen = [t for t in rewarded if t.status == status]
        figure.add_trace(_dots(chosen, [t.reward for t in chosen], status, legend=True, size=size))
    for status in lanes:
        chosen = [t for t in trials if t.status == status and t.reward is None]
        words = formatting.status(status)
        lane = [words if penalty is None else f"{words}: {formatting.reward(penalty)}"] * len(chosen)
        new = not any(t.status == status for t in rewarded)
        figure.add_trace(_dots(chosen, lane, status, legend=new, axis="y2", size=size))
    figure.update_layout(_axes(trials, reward_name, len(lanes)))
    style(figure, height=360 + 22 * len(lanes))
    _shade_phases(figure, trials)
    return figure


def _axes(trials: Sequence[TrialRow], reward_name: str, lanes: int) -> dict[str, Any]:
    """The axes of `best_so_far`: trials, rewards, and below these the lanes."""
    share = 0.075 * lanes
    values = [t.reward for t in trials if t.reward is not None]
    span = max(values, default=1.0) - min(values, default=0.0) or 1.0
    numbers = [t.number for t in trials]
    return {
        "xaxis": {
            "title": "trial",
            "range": [min(numbers, default=0) - 0.8, max(numbers, default=0) + 0.8],
            "anchor": "y2" if lanes else "y",
            **trial_ticks(len(numbers)),
        },
        "yaxis": {
            "title": escaped(reward_name),
            "domain": [share + 0.04 if lanes else 0, 1],
            # Room above the best for the phases' names.
            "range": [min(values, default=0) - 0.06 * span, max(values, default=1) + 0.13 * span],
        },
        "yaxis2": {
            "domain": [0, share] if lanes else [0, 0.01],
            "type": "category",
            "showgrid": False,
            "visible": bool(lanes),
            "range": [-0.6, max(1, lanes) - 0.4],
        },
    }


def _moving_average(rewarded: Sequence[TrialRow]) -> go.Scatter:
    """The mean reward of up to `WINDOW` trials until each trial. It starts again with each phase."""
    import plotly.graph_objects as go

    x: list[int | None] = []
    y: list[float | None] = []
    for _, row in _spans(rewarded):
        values = np.array([t.reward for t in row], dtype=np.float64)
        sums = np.concatenate([[0.0], np.cumsum(values)])
        ends = np.arange(1, len(row) + 1)
        starts = np.maximum(0, ends - WINDOW)
        x += [t.number for t in row] + [None]
        y += [*((sums[ends] - sums[starts]) / (ends - starts)).tolist(), None]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": QUIET, "width": 2.5},
        name=f"mean of the last {WINDOW}",
        hoverinfo="skip",
    )


def _spans(trials: Sequence[TrialRow]) -> Iterator[tuple[str | None, list[TrialRow]]]:
    """Runs of successive trials of one phase."""
    run: list[TrialRow] = []
    for trial in trials:
        if run and trial.phase != run[-1].phase:
            yield run[-1].phase, run
            run = []
        run.append(trial)
    if run:
        yield run[-1].phase, run


def _shade_phases(figure: go.Figure, trials: Sequence[TrialRow]) -> None:
    """Tints the background of exploration, and names each phase above its first trials."""
    named: set[str] = set()
    for phase, run in _spans(trials):
        if phase is None:
            continue
        left, right = run[0].number - 0.5, run[-1].number + 0.5
        if phase == "exploration":
            figure.add_shape(
                type="rect", xref="x", yref="paper", x0=left, x1=right, y0=0, y1=1, layer="below",
                fillcolor=PHASE_TINT, line={"width": 0},
            )  # fmt: skip
        if phase not in named:
            figure.add_annotation(
                text=escaped(PHASES.get(phase, phase)), xref="x", yref="paper", x=left, y=1, xanchor="left",
                yanchor="top", showarrow=False, font={"size": 12, "color": QUIET}, bgcolor="rgba(255,255,255,0.7)",
            )  # fmt: skip
        named.add(phase)


def size_against_score(
    trials: Sequence[TrialRow], summaries: Sequence[Summary], reward_name: str, metric: Metric
) -> go.Figure:
    """Parameters against the search's reward with its Pareto front; beside it, the contestants' test score.

    There are two panels because the validation score of a short training and the test score of a full one cannot be
    compared. Without trials there is only the second panel.

    Args:
        trials: of the run.
        summaries: of the networks that were tested.
        reward_name: for the axis.
        metric: of the test.
    """
    import plotly.graph_objects as go

    known = [t for t in trials if t.reward is not None and t.parameters]
    tested = [s for s in summaries if s.tested and s.contestant.parameters]
    figure = go.Figure([*_by_size(known), _front(known)])
    for i, summary in enumerate(tested):
        figure.add_trace(_contestant_point(summary, SYMBOLS[i % len(SYMBOLS)], metric))
    low, high = _score_range(tested)
    left, right = ([0, 0.43], [0.58, 1]) if tested else ([0, 1], [0.99, 1])
    if not known:
        left, right = [0, 0.01], [0, 1]
    sizes = [float(t.parameters or 1) for t in known] + [float(s.contestant.parameters or 1) for s in tested]
    ends = log_range(sizes)
    for name in _contestant_names(tested, low, high, (ends[0] + ends[1]) / 2):
        figure.add_annotation(name)
    shared = {"type": "log", "title": "parameters", "range": ends, **log_ticks(*ends)}
    figure.update_layout(
        xaxis={**shared, "domain": left, "visible": bool(known)},
        xaxis2={**shared, "domain": right, "anchor": "y2", "visible": bool(tested)},
        yaxis={"title": f"{escaped(reward_name)}, in the search", "visible": bool(known)},
        yaxis2={
            "title": f"test {escaped(metric.axis)}, after full training",
            "anchor": "x2",
            "range": [low, high],
            "visible": bool(tested),
            "tickformat": ".1%" if metric.classifies else "",
        },
    )
    style(figure, height=380)
    return figure


def _by_size(known: Sequence[TrialRow]) -> Iterator[go.Scatter]:
    """Trials as dots over their parameters."""
    for status in _statuses(known):
        chosen = [t for t in known if t.status == status]
        dots = _dots(
            chosen, [t.reward for t in chosen], status, legend=False, size=8 if len(known) <= 200 else 5
        )
        yield dots.update(x=[t.parameters for t in chosen])


def _front(known: Sequence[TrialRow]) -> go.Scatter:
    """The complete trials for which no other trial is both smaller and better."""
    import plotly.graph_objects as go

    best = pareto_front([(t.parameters or 0, -(t.reward or 0.0)) for t in known])
    front = [known[index] for index in best if known[index].status == "complete"]
    return go.Scatter(
        x=[t.parameters for t in front],
        y=[t.reward for t in front],
        mode="lines",
        line={"color": INK, "width": 1.5, "shape": "hv"},
        name="Pareto front",
        hoverinfo="skip",
    )


def _score_range(tested: Sequence[Summary]) -> tuple[float, float]:
    """From below the lowest end of an interval to above the highest."""
    ends = [e for s in tested for e in (s.overall.low, s.overall.mean, s.overall.high) if np.isfinite(e)]
    lowest, highest = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.1 * max(highest - lowest, 0.01)
    return lowest - room, highest + room


def _dots(
    trials: Sequence[TrialRow], y: Sequence[Any], status: str, *, legend: bool, size: int, axis: str = "y"
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
            "size": size,
            # Hollow: trained before under another number, taken from the cache.
            "color": ["#ffffff" if t.cached_from is not None else colour for t in trials],
            "line": {"color": colour, "width": 1.4},
        },
        text=[_hover(t) for t in trials],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(trial: TrialRow) -> str:
    phase = f" ({trial.phase})" if trial.phase else ""
    lines = [f"trial {trial.number}{phase}: {formatting.status(trial.status)}"]
    if trial.reward is not None:
        lines.append(
            f"{formatting.reward(trial.reward)} · {formatting.parameters(trial.parameters)} parameters"
        )
    if trial.cached_from is not None:
        lines.append(f"same network as trial {trial.cached_from}")
    lines += [shorten(text) for text in (trial.choice, trial.reason) if text]
    return "<br>".join(escaped(line) for line in lines)


def _contestant_point(summary: Summary, symbol: str, metric: Metric) -> go.Scatter:
    import plotly.graph_objects as go

    overall = summary.overall
    known = np.isfinite(overall.low)
    return go.Scatter(
        x=[summary.contestant.parameters],
        y=[overall.mean],
        xaxis="x2",
        yaxis="y2",
        mode="markers",
        text=[f"{escaped(network_title(summary))}<br>{escaped(metric.name)} {metric.value(overall.mean)}"],
        marker={"symbol": symbol, "size": 13 if summary.searched else 9, "color": INK},
        error_y={
            "type": "data",
            "array": [overall.high - overall.mean if known else 0],
            "arrayminus": [overall.mean - overall.low if known else 0],
            "color": QUIET,
            "thickness": 1.2,
            "width": 4,
        },
        hovertemplate="%{text}<br>%{x:,} parameters<extra></extra>",
        showlegend=False,
    )


def _contestant_names(
    tested: Sequence[Summary], low: float, high: float, middle: float
) -> list[dict[str, Any]]:
    """A name beside each point, on the side towards the middle of the panel, away from the other names on that side.

    Args:
        tested: the networks.
        low: the lower end of the panel's axis of scores.
        high: its upper end.
        middle: of its axis of sizes, as a decimal logarithm.
    """
    if not tested:
        return []
    sizes = np.log10([s.contestant.parameters or 1 for s in tested])
    heights = np.array([s.overall.mean for s in tested]) * PANEL_HEIGHT / (high - low)
    at_left = sizes <= middle
    positions = heights.copy()
    for side in (at_left, ~at_left):
        positions[side] = spread(heights[side], NAME_HEIGHT)
    return [
        {
            "xref": "x2",
            "yref": "y2",
            "x": float(size),
            "y": summary.overall.mean,
            "text": escaped(network_title(summary)),
            "xanchor": "left" if left else "right",
            "xshift": 11 if left else -11,
            "yanchor": "middle",
            "yshift": round(float(position - height), 1),
            "showarrow": False,
            "font": {"size": 12, "color": INK, "weight": 700 if summary.searched else 400},
        }
        for summary, size, left, height, position in zip(
            tested, sizes, at_left, heights, positions, strict=True
        )
    ]


def spread(positions: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """The positions nearest to the given ones, in the same order and at least ``gap`` apart (isotonic regression)."""
    order = np.argsort(positions, kind="stable")
    blocks: list[list[float]] = []
    for rank, position in enumerate(positions[order]):
        blocks.append([float(position) - rank * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    result = np.empty(len(positions))
    result[order] = [float(np.mean(block)) for block in blocks for _ in block] + gap * np.arange(
        len(positions)
    )
    return result


def _running_best(trials: Sequence[TrialRow]) -> list[float | None]:
    best: float | None = None
    curve: list[float | None] = []
    for trial in trials:
        if trial.reward is not None and trial.status == "complete" and (best is None or trial.reward > best):
            best = trial.reward
        curve.append(best)
    return curve


def _statuses(trials: Sequence[TrialRow]) -> list[str]:
    return in_order({t.status for t in trials})
