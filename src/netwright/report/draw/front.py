"""The Pareto front of a search with several objectives: all trials, the members, and the hypervolume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netwright.report import formatting
from netwright.report.draw.style import BEST, INK, QUIET, escaped, log_range, log_ticks, shorten, style
from netwright.report.sections import SEARCH, Block, Cell, Figure, Heading, Row, Section, Sentences, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

FRONT_CAPTION = (
    "Each dot is a trained network, and the large ones are the front: no other network is at least as good in every "
    "objective and better in one."
)
HYPERVOLUME_CAPTION = (
    "How much the front dominates after each trial (hypervolume), as a share of what lies between the best value of "
    "each objective and a tenth of its range beyond the worst. The search still finds better networks where the line "
    "rises."
)
PANEL = 330
"""The height of a panel, in pixels."""
MUCH = 50.0
"""The scale is logarithmic if the largest value is so many times the smallest."""


@dataclass(frozen=True)
class Member:
    """A network of the front.

    Args:
        number: of its trial.
        choice: in words.
        values: of the objectives, in the search.
        trained: the same after the training with the full protocol; None: it was not trained so.
    """

    number: int
    choice: str
    values: tuple[float, ...]
    trained: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Front:
    """The front of a search.

    Args:
        names: of the objectives, the metrics first.
        trials: the number and the values of each trained trial, in order.
        members: of the front, the best of the first objective first.
        shares: the hypervolume after each of the ``trials``.
    """

    names: tuple[str, ...]
    trials: tuple[tuple[int, tuple[float, ...]], ...]
    members: tuple[Member, ...]
    shares: tuple[float, ...]


def front_sections(front: Front | None) -> tuple[Section, ...]:
    """The section of the front; none where there is a single objective."""
    if front is None:
        return ()
    if not front.members:
        return (
            Section(
                "front", "The Pareto front", (Sentences(("No network has all objectives yet.",)),), SEARCH + 1
            ),
        )
    blocks: tuple[Block, ...] = (
        Sentences((_sentence(front),)),
        Figure("front", front_figure(front), FRONT_CAPTION),
        _table(front),
        Heading("Hypervolume"),
        Figure("hypervolume", hypervolume_figure(front), HYPERVOLUME_CAPTION),
    )
    return (Section("front", "The Pareto front", blocks, SEARCH + 1, link="Front"),)


def _sentence(front: Front) -> str:
    count = formatting.counted(len(front.members), "network")
    names = formatting.names(list(front.names))
    return (
        f"{count} of {len(front.trials)} trained ones are on the front: none of them is better than another in {names} "
        "at once."
    )


def front_figure(front: Front) -> go.Figure:
    """One panel for each objective after the first, which is over it."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    panels = len(front.names) - 1
    figure = make_subplots(rows=panels, cols=1, vertical_spacing=0.16 / panels)
    numbers = {member.number for member in front.members}
    others = [(number, values) for number, values in front.trials if number not in numbers]
    for panel in range(1, panels + 1):
        place = {"row": panel, "col": 1}
        for name, colour, points in (
            ("beaten", QUIET, [(f"trial {number}", values) for number, values in others]),
            (
                "front",
                BEST,
                [(f"trial {m.number}<br>{escaped(shorten(m.choice))}", m.values) for m in front.members],
            ),
        ):
            figure.add_trace(
                go.Scatter(
                    x=[values[panel] for _, values in points],
                    y=[values[0] for _, values in points],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=panel == 1,
                    marker={"size": 9 if name == "front" else 7, "color": colour},
                    text=[text for text, _ in points],
                    hovertemplate="%{text}<br>%{y:.4g}, %{x:,}<extra></extra>",
                ),
                **place,
            )
        if panels == 1:
            steps = sorted((m.values for m in front.members), key=lambda values: values[1])
            figure.add_trace(
                go.Scatter(
                    x=[values[1] for values in steps],
                    y=[values[0] for values in steps],
                    mode="lines",
                    name="Pareto front",
                    line={"color": INK, "width": 1.5, "shape": "hv"},
                    hoverinfo="skip",
                ),
                **place,
            )
        figure.update_xaxes(title_text=escaped(front.names[panel]), **_scale(front, panel), **place)
        figure.update_yaxes(title_text=escaped(front.names[0]), **place)
    style(figure, height=PANEL * panels + 40)
    return figure


def _scale(front: Front, at: int) -> dict[str, Any]:
    """A logarithmic axis for an objective whose values differ much."""
    values = [values[at] for _, values in front.trials]
    if min(values) <= 0 or max(values) < MUCH * min(values):
        return {}
    ends = log_range(values)
    return {"type": "log", "range": ends, **log_ticks(*ends)}


def hypervolume_figure(front: Front) -> go.Figure:
    """The hypervolume over the trials."""
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Scatter(
            x=[number for number, _ in front.trials],
            y=list(front.shares),
            mode="lines",
            name="hypervolume",
            line={"color": INK, "width": 2, "shape": "hv"},
        )
    )
    figure.update_layout(
        xaxis={"title": "trial"}, yaxis={"title": "hypervolume", "range": [0, 1.04]}, showlegend=False
    )
    style(figure, height=280)
    return figure


def _table(front: Front) -> Table:
    again = any(member.trained for member in front.members)
    head = (
        Cell("trial"),
        *(Cell(f"{name}, in the search", number=True) for name in front.names),
        *(Cell(f"{name}, trained in full", number=True) for name in front.names if again),
        Cell("choice"),
    )
    rows = []
    for member in front.members:
        values: list[float | None] = [*member.values]
        if again:
            values += member.trained or [None] * len(front.names)
        cells = (
            Cell(
                formatting.objective_value(name, value), number=True, key="" if value is None else str(value)
            )
            for name, value in zip(front.names * (1 + again), values, strict=True)
        )
        rows.append(
            Row((Cell(str(member.number), key=str(member.number)), *cells, Cell(member.choice, wide=True)))
        )
    return Table(head, tuple(rows), scrolls=True, sorts=True)
