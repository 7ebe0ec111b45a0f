"""The probabilities over a search inside one training: of every value, and how certain the choice became."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netwright.report import formatting
from netwright.report.draw.style import INK, QUIET, escaped, style
from netwright.report.sections import SEARCH, Figure, Section, Sentences

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = "Viridis"
ROW_PIXELS = 11
"""Height of a value's row."""
PANELS = (("entropy", "entropy"), ("certainty", "largest probability"), ("eta", "learning rate η"))
SURE = 0.9
LOSSES = (("loss", "weights' half", INK), ("theta_loss", "the other half", QUIET))

CERTAINTY_CAPTION = (
    "Entropy (relative to the uniform distribution) and largest probability, both as means over the "
    "variables, and the learning rate of the probabilities, which adapts to the agreement of the updates."
)
LOSSES_CAPTION = (
    "Mean loss of the sampled networks, on the training cases for the weights and on those for the "
    "probabilities."
)
PROBABILITIES_CAPTION = (
    "One row per value, grouped by variable; one column per snapshot. All values start with the same "
    "probability (one colour); at the end each variable may have one bright row. The marks at the right are "
    "the values of the most likely network, which is the result."
)


@dataclass(frozen=True)
class ProbabilityPath:
    """The probabilities over a search inside one training, snapshot by snapshot.

    ``steps``: of each snapshot. ``variables``: names; ``values``: of each variable, as texts; ``probabilities``: of
    each variable (snapshots, its values); ``chosen``: the index of each variable's value in the resulting network.
    ``certainty``, ``entropy``, ``eta``, ``loss`` and ``theta_loss`` as in `netwright.supernet.snapshots.Snapshot`, one
    for each snapshot. ``seconds``: in all. ``infeasible``: the number of samples that made no network.
    """

    steps: tuple[int, ...]
    variables: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    probabilities: tuple[NDArray[np.float64], ...]
    chosen: tuple[int, ...]
    certainty: tuple[float, ...]
    entropy: tuple[float, ...]
    eta: tuple[float, ...]
    loss: tuple[float | None, ...]
    theta_loss: tuple[float | None, ...]
    seconds: float
    infeasible: int


def one_shot_section(path: ProbabilityPath) -> Section:
    """The section about the probabilities over the search."""
    blocks = (
        Sentences((one_shot_sentence(path),)),
        Figure("certainty", certainty_figure(path), CERTAINTY_CAPTION),
        Figure("losses", losses_figure(path), LOSSES_CAPTION),
        Figure("probabilities", probabilities_figure(path), PROBABILITIES_CAPTION),
    )
    return Section("shared", "How the probabilities moved", blocks, SEARCH + 1, link="Probabilities")


def probabilities_figure(path: ProbabilityPath) -> go.Figure:
    """One row for each value, grouped by variable with a gap between; one column for each snapshot. The chosen values
    are marked.
    """
    import plotly.graph_objects as go

    gap = np.full((1, len(path.steps)), np.nan)
    blocks: list[np.ndarray] = []
    labels: list[str] = []
    ticks: list[int] = []
    names: list[str] = []
    marks: list[int] = []
    for variable, values, block, chosen in zip(
        path.variables, path.values, path.probabilities, path.chosen, strict=True
    ):
        ticks.append(len(labels) + (len(values) - 1) // 2)
        names.append(escaped(variable))
        marks.append(len(labels) + chosen)
        labels += [escaped(f"{variable} = {value}") for value in values] + [""]
        blocks += [block.T, gap]
    figure = go.Figure(
        go.Heatmap(
            z=np.concatenate(blocks[:-1]).astype(np.float32) if blocks else [],
            x=path.steps,
            customdata=np.repeat(np.array(labels[:-1])[:, None], len(path.steps), axis=1),
            colorscale=COLOURS,
            zmin=0,
            zmax=1,
            colorbar={
                "title": {"text": "probability", "side": "right", "font": {"size": 13}},
                "thickness": 12, "outlinewidth": 0, "len": 300, "lenmode": "pixels", "y": 1, "yanchor": "top",
            },
            hovertemplate="%{customdata}, step %{x}: %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    for row in marks:
        figure.add_annotation(
            x=1, xref="paper", y=row, text="◂", showarrow=False, xanchor="left", font={"size": 9}
        )
    style(figure, height=ROW_PIXELS * max(len(labels), 20) + 100)
    figure.update_yaxes(
        tickvals=ticks,
        ticktext=names,
        range=[len(labels) - 1.5, -0.5],
        showgrid=False,
        tickfont={"size": 10},
        ticks="",
    )
    figure.update_xaxes(title_text="step", showgrid=False)
    return figure


def certainty_figure(path: ProbabilityPath) -> go.Figure:
    """Entropy, largest probability and learning rate of theta over the steps, one below the other."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(PANELS), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, (name, title) in enumerate(PANELS, 1):
        figure.add_scatter(
            x=path.steps, y=getattr(path, name), mode="lines", line={"color": INK, "width": 2}, row=row, col=1
        )
        figure.update_yaxes(title_text=title, row=row, col=1)
    style(figure, height=520)
    figure.update_layout(showlegend=False)
    for row in (1, 2):
        figure.update_yaxes(range=[0, 1.03], row=row, col=1)
    figure.update_yaxes(type="log", dtick="D2", tickformat=".2g", row=3, col=1)
    figure.update_xaxes(title_text="step", row=len(PANELS), col=1)
    return figure


def losses_figure(path: ProbabilityPath) -> go.Figure:
    """The mean loss of the sampled networks between two snapshots, on each half of the training cases.

    The scale is logarithmic where one loss is ten times another.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    known = [value for name, _, _ in LOSSES for value in getattr(path, name) if value is not None]
    for name, title, colour in LOSSES:
        values = getattr(path, name)
        figure.add_scatter(
            x=path.steps, y=values, mode="lines", name=title, line={"color": colour, "width": 2}
        )
    style(figure, height=320)
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="loss of sampled networks")
    if known and 0 < 10 * min(known) <= max(known):
        figure.update_yaxes(type="log", dtick="D2", tickformat=".2g")
    return figure


def one_shot_sentence(path: ProbabilityPath) -> str:
    """A sentence: how far the search went, and how certain its choice became."""
    steps, certainty = path.steps[-1], path.certainty[-1]
    told = f"{steps:,} steps in {formatting.duration(path.seconds)}; the mean over {len(path.variables)} variables of "
    told += f"the largest probability rose from {path.certainty[0]:.2f} to {certainty:.2f}."
    sure = sum(block[-1].max() >= SURE for block in path.probabilities)
    told += f" {sure} of {len(path.variables)} variables have a value of at least {SURE:.0%}."
    if path.infeasible:
        told += f" {path.infeasible:,} sampled choices made no network, or one that could not be computed."
    return told
