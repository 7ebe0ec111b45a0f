"""How a policy moved: every coordinate's path over the rounds, and what the last round said of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from netwright.report import formatting
from netwright.report.content import PolicyPath
from netwright.report.draw.style import INK, QUIET, escaped, style

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = "Viridis"
GROUPS = (
    ("a step down", "triangle-left"),
    ("as it was", "circle"),
    ("a step up", "triangle-right"),
)
ROW_PIXELS = 14
"""Height of a coordinate's row in both figures."""


def path_figure(path: PolicyPath) -> go.Figure:
    """Coordinates by rounds, coloured by where in its range a value lies; at the right where the policy stands."""
    import plotly.graph_objects as go

    rounds = len(path.values)
    values = np.array(path.values, dtype=object).T
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(path.positions, dtype=np.float32).T,
            x=list(range(1, rounds + 1)),
            y=list(range(len(path.coordinates))),
            customdata=values,
            colorscale=COLOURS,
            zmin=0,
            zmax=1,
            xgap=1 if rounds <= 60 else 0,
            colorbar={
                "title": {"text": "place in its range", "side": "right", "font": {"size": 13}},
                "tickvals": [0, 1], "ticktext": ["lowest", "highest"], "thickness": 12, "outlinewidth": 0,
            },
            hovertemplate="%{y}, round %{x}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    for row, text in enumerate(path.values[-1]):
        figure.add_annotation(
            x=0.93,
            xref="paper",
            y=row,
            text=escaped(text),
            showarrow=False,
            xanchor="left",
            font={"size": 10},
        )
    _rows(figure, path)
    figure.update_xaxes(title="round", showgrid=False, domain=[0, 0.92])
    return figure


def means_figure(path: PolicyPath, reward_name: str) -> go.Figure:
    """The mean reward of each group of the last round, coordinate by coordinate; filled where the policy moved."""
    import plotly.graph_objects as go

    figure = go.Figure()
    rows = np.arange(len(path.coordinates))
    for group, (name, symbol) in enumerate(GROUPS):
        taken = path.moves == group - 1
        figure.add_trace(
            go.Scatter(
                x=path.means[:, group],
                y=rows,
                mode="markers",
                name=name,
                marker={
                    "symbol": [symbol if chosen else f"{symbol}-open" for chosen in taken],
                    "color": [INK if chosen else QUIET for chosen in taken],
                    "size": 9,
                },
                hovertemplate=f"%{{y}}, {name}: %{{x:.4g}}<extra></extra>",
            )
        )
    _rows(figure, path)
    estimated = "effect on the reward's rank, in standard deviations"
    figure.update_xaxes(title=estimated if path.estimated else f"mean {reward_name}")
    figure.update_yaxes(showgrid=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})
    return figure


def _rows(figure: go.Figure, path: PolicyPath) -> None:
    """A row a coordinate, the first at the top."""
    count = len(path.coordinates)
    style(figure, height=int(ROW_PIXELS * max(count, 6) + 110))
    figure.update_yaxes(
        tickvals=list(range(count)),
        ticktext=[escaped(name) for name in path.coordinates],
        range=[count - 0.5, -0.5],
        showgrid=False,
        tickfont={"size": 10},
        automargin=True,
    )


def policy_sentence(path: PolicyPath, reward_name: str) -> str:
    """How many rounds there were, and what they gained."""
    rounds = len(path.rewards)
    rewarded = [(mean, number) for number, mean in enumerate(path.rewards, 1) if math.isfinite(mean)]
    if not rewarded:
        return "No round with a reward has ended yet: the policy stands where it began."
    (first, earliest), (best, when), (last, latest) = rewarded[0], max(rewarded), rewarded[-1]
    told = f"{formatting.counted(rounds, 'round')}, the last of {path.results} results: mean {reward_name} {first:.3f}"
    if earliest == latest:
        return f"{told}."
    return f"{told} in round {earliest}, {best:.3f} in the best (round {when}), {last:.3f} in round {latest}."
