"""A heat map of the choices for each layer of a network in each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netwright.report.draw.style import BEST, UNVISITED, colour_scale, escaped, style
from netwright.report.sections import STRATEGY, Block, Figure, Heading, Section

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = 1200
"""A heat map of choices shows at most this many trials: about a pixel for each."""

TICKS = 12


@dataclass(frozen=True)
class LayerChoices:
    """The choices for each layer in each trial.

    ``trials`` holds their numbers, in order. ``values``: hyperparameter ("kernels", "kernel size", ...) -> the values
    themselves (not their indices), shape (layers, trials), NaN where a layer has no such hyperparameter.
    """

    layers: tuple[str, ...]
    trials: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]


def layers_section(choices: LayerChoices | None, best_trial: int | None) -> Section:
    """The choices for each layer; empty where there are none."""
    title = "Layers and agents"
    blocks: tuple[Block, ...] = ()
    if choices is not None and any_choice(choices):
        caption = (
            "One row per layer, one column per trial; the dotted line and the column at the right are the "
            "best trial. Grey: no such value in that trial."
        )
        figure = choices_figure(choices, best_trial)
        blocks = (Heading("The choice of each layer"), Figure("choices", figure, caption))
    return Section("agents", title, blocks, STRATEGY + 1, link=title)


def choices_figure(choices: LayerChoices, best_trial: int | None) -> go.Figure:
    """Layers by trials, one panel for each hyperparameter, coloured by the value's rank. The best trial is at the
    right.

    If there are more than `COLUMNS` trials, evenly spaced ones are shown.
    """
    import plotly.graph_objects as go

    columns = evenly_spaced(choices)
    trials = np.asarray(choices.trials)[columns]
    panels = [
        (name, np.flatnonzero(np.isfinite(values).any(axis=1)), values)
        for name, values in choices.values.items()
        if np.isfinite(values).any()
    ]
    pitch = 18 if len(choices.layers) <= 30 else 13
    heights = [max(2.2, len(rows)) * pitch + 34 for _, rows, _ in panels]
    total = sum(heights)
    best = choices.trials.index(best_trial) if best_trial in choices.trials else None
    figure = go.Figure()
    axes: dict[str, Any] = {}
    top = 1.0
    for i, ((name, rows, values), height) in enumerate(zip(panels, heights, strict=True)):
        key = "" if i == 0 else str(i + 1)
        domain = (top - (height - 34) / total, top)
        chosen = values[rows]
        layers = [choices.layers[r] for r in rows]
        figure.add_trace(_panel(name, layers, chosen[:, columns], trials, chosen, key, domain))
        if best is not None:
            figure.add_trace(_best_column(name, layers, chosen[:, best], chosen, key))
        axes[f"yaxis{key}"] = {
            "domain": list(domain), "tickvals": list(range(len(layers))), "range": [len(layers) - 0.5, -0.5],
            "ticktext": [escaped(n) for n in layers], "showgrid": False, "tickfont": {"size": 11 if pitch > 15 else 9},
        }  # fmt: skip
        figure.add_annotation(
            text=f"<b>{escaped(name)}</b>", x=0, xref="paper", y=domain[1], yref="paper", xanchor="left",
            yanchor="bottom", showarrow=False, font={"size": 13},
        )  # fmt: skip
        top -= height / total
    last = "" if len(panels) == 1 else str(len(panels))
    if best is not None:
        figure.add_shape(
            type="line", xref="x", yref="paper", x0=best_trial, x1=best_trial, y0=domain[0], y1=1,
            line={"color": BEST, "width": 1.5, "dash": "dot"},
        )  # fmt: skip
    figure.update_layout(axes)
    figure.update_layout(
        xaxis={
            "title": "trial", "domain": [0, 0.93 if best is not None else 1], "anchor": f"y{last}",
            "showgrid": False,
        },
        xaxis2={
            "domain": [0.945, 1], "anchor": f"y{last}", "showgrid": False, "tickvals": [0],
            "ticktext": [f"best: {best_trial}"], "visible": best is not None,
        },
    )  # fmt: skip
    style(figure, height=int(total + 84))
    figure.update_layout(plot_bgcolor=UNVISITED, margin={"t": 30, "r": 90})
    return figure


def any_choice(choices: LayerChoices) -> bool:
    """Whether there is anything to draw: some layer has a value in some trial."""
    return any(np.isfinite(values).any() for values in choices.values.values())


def evenly_spaced(choices: LayerChoices) -> NDArray[np.int64]:
    """Indices of the trials that fit into a heat map, evenly spaced."""
    count = len(choices.trials)
    return np.unique(np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(np.int64))


def _panel(
    name: str,
    layers: Sequence[str],
    drawn: NDArray[np.float64],
    trials: NDArray[np.int64],
    every: NDArray[np.float64],
    axis: str,
    domain: tuple[float, float],
) -> go.Heatmap:
    """One hyperparameter of every layer over the trials. Each value that occurs has its own colour."""
    import plotly.graph_objects as go

    values, ranks = _ranked(every, drawn)
    step = -(-len(values) // TICKS)
    ticks = list(range(0, len(values), step))
    return go.Heatmap(
        x=trials,
        y=list(range(len(layers))),
        z=ranks,
        customdata=np.nan_to_num(drawn, nan=-1).astype(np.int16 if values[-1] < 2**15 else np.int32),
        yaxis=f"y{axis}",
        **_scale(len(values)),
        colorbar={
            "y": (domain[0] + domain[1]) / 2, "len": domain[1] - domain[0], "tickvals": ticks, "thickness": 12,
            "ticktext": [f"{values[t]:g}" for t in ticks], "outlinewidth": 0, "tickfont": {"size": 11}, "ypad": 0,
        },
        hoverongaps=False,
        text=[],
        hovertemplate=f"trial %{{x}}, %{{y}}<br>{escaped(name)} %{{customdata}}<extra></extra>",
    )  # fmt: skip


def _best_column(
    name: str, layers: Sequence[str], best: NDArray[np.float64], every: NDArray[np.float64], axis: str
) -> go.Heatmap:
    """The best trial's values once more, wide enough to read."""
    import plotly.graph_objects as go

    levels, ranks = _ranked(every, best[:, None])
    return go.Heatmap(
        x=[0],
        y=list(range(len(layers))),
        z=ranks,
        text=[["" if np.isnan(v) else f"{v:g}"] for v in best],
        texttemplate="%{text}",
        textfont={"size": 11 if len(layers) <= 30 else 9},
        xaxis="x2",
        yaxis=f"y{axis}",
        **_scale(len(levels)),
        showscale=False,
        hoverongaps=False,
        hovertemplate=f"best trial, %{{y}}<br>{escaped(name)} %{{text}}<extra></extra>",
    )


def _ranked(
    every: NDArray[np.float64], drawn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """The values that occur anywhere, in rising order, and the rank of each value that is shown. NaN stays NaN.

    Ranks take one byte each where possible, not four: there may be a hundred thousand.
    """
    values = np.unique(every[np.isfinite(every)])
    missing = np.isnan(drawn)
    ranks = np.searchsorted(values, np.nan_to_num(drawn))
    if values.size < 256 and not missing.any():
        return values, ranks.astype(np.uint8)
    return values, np.where(missing, np.nan, ranks).astype(np.float32)


def _scale(count: int) -> dict[str, Any]:
    """A colour scale with ``count`` steps, for ranks from 0."""
    colours = colour_scale(count)
    steps = [[edge / count, colour] for i, colour in enumerate(colours) for edge in (i, i + 1)]
    return {"colorscale": steps, "zmin": -0.5, "zmax": count - 0.5}
