"""What agents have learned and chosen: a heat map for each pair of agents, and one of every layer's choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from netwright.report.content import AgentTable, LayerChoices
from netwright.report.draw.overlays import png_uri
from netwright.report.draw.style import escaped, style

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 24
"""So many tables at most; of more, those whose values differ most."""

THUMBNAIL = 150
"""Pixels of a thumbnail's longer side in the file, about; cells are whole numbers of pixels."""

NUMBERED = 12
"""With at most so many actions a side, cells show their values as numbers."""

COLUMNS = 1200
"""Trials that a heat map of choices shows at most: about a pixel each."""

TICKS = 12
COLOURS = "Viridis"
UNVISITED = "#e9ecf1"
BEST = "#D55E00"

LETTERS = {"kernels": "", "units": "", "kernel_size": "k", "stride": "s", "pool_size": "p"}


def action_text(values: Mapping[str, int]) -> str:
    """One agent's values as the tables name them: ``64 k3 s1`` for kernels, kernel size and stride.

    A pooling size is ``p2``; kernels and units are bare numbers; anything else goes by its own name.
    """
    return " ".join(f"{LETTERS.get(name, f'{name} ')}{value}" for name, value in values.items())


def telling(tables: Sequence[AgentTable], shown: int = SHOWN) -> tuple[int, ...]:
    """Indices, rising, of at most ``shown`` tables: those whose visited values have the largest deviation.

    A table of which nothing was visited comes after all others; among equals the earlier one is taken.
    """
    spread = [float(np.nanstd(t.values)) if np.isfinite(t.values).any() else -1.0 for t in tables]
    ranked = sorted(range(len(tables)), key=lambda i: (-spread[i], i))
    return tuple(sorted(ranked[:shown]))


def thumbnail(table: AgentTable) -> dict[str, Any]:
    """A table as a small picture, with what is to be said of it: visited pairs, range and best pair."""
    rows, columns = table.values.shape
    finite = np.isfinite(table.values)
    side = max(1, THUMBNAIL // max(1, rows, columns))
    pixels = np.repeat(np.repeat(_coloured(table.values), side, axis=0), side, axis=1)
    picture = Image.fromarray(pixels)
    if table.chosen is not None:
        row, column = table.chosen
        _frame(picture, row * side, column * side, side)
    said: dict[str, Any] = {
        "rows": table.row_agent,
        "columns": table.column_agent,
        "uri": png_uri(np.asarray(picture)),
        "width": picture.width,
        "height": picture.height,
        "size": f"{rows} × {columns}",
        "visited": f"{int(finite.sum()):,} of {finite.size:,}",
        "range": "",
        "best": "",
    }
    if finite.any():
        row, column = divmod(int(np.nanargmax(table.values)), columns)
        said["range"] = f"{_number(np.nanmin(table.values))} to {_number(np.nanmax(table.values))}"
        said["best"] = f"{table.row_actions[row]} → {table.column_actions[column]}"
    return said


def _coloured(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Shape (rows, columns, 3): the lowest to the highest visited value; grey where nothing was visited."""
    colours = np.array([_rgb(c) for c in _colour_scale(256)], dtype=np.uint8)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 1.0)
    share = (np.where(finite, values, low) - low) / max(high - low, 1e-12)
    pixels = colours[np.clip(np.rint(255 * share), 0, 255).astype(np.int64)]
    pixels[~finite] = [int(UNVISITED[i : i + 2], 16) for i in (1, 3, 5)]
    return pixels


def _frame(picture: Image.Image, top: int, left: int, side: int) -> None:
    """A frame around the best trial's cell, that shows on any colour."""
    draw = ImageDraw.Draw(picture)
    last = (picture.width - 1, picture.height - 1)
    for margin, colour in ((3, "#ffffff"), (2, BEST), (1, BEST)):
        box = (left - margin, top - margin, left + side - 1 + margin, top + side - 1 + margin)
        draw.rectangle(
            (max(0, box[0]), max(0, box[1]), min(last[0], box[2]), min(last[1], box[3])), outline=colour
        )


def tables_figure(tables: Sequence[AgentTable], value_name: str) -> go.Figure:
    """All tables as one heat map with a menu to choose which; rows are the first agent's actions."""
    import plotly.graph_objects as go

    figure = go.Figure()
    buttons = []
    for i, table in enumerate(tables):
        figure.add_trace(_heat_map(table, value_name).update(visible=i == 0))
        visible = [j == i for j in range(len(tables))]
        buttons.append(
            {
                "method": "update",
                "label": escaped(_title(table)),
                "args": [{"visible": visible}, _axes(table)],
            }
        )
    rows = max(t.values.shape[0] for t in tables)
    figure.update_layout(
        updatemenus=[
            {
                "buttons": buttons, "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "pad": {"b": 8},
                "bgcolor": "#ffffff", "bordercolor": "#b9c0ca", "font": {"size": 13},
            }
        ]
    )  # fmt: skip
    style(figure, height=int(160 + min(640, max(220, 15 * rows))))
    figure.update_layout(margin={"t": 58}, plot_bgcolor=UNVISITED)
    figure.update_xaxes(showgrid=False, side="bottom")
    figure.update_yaxes(showgrid=False)
    figure.update_layout({name.replace(".", "_"): value for name, value in _axes(tables[0]).items()})
    return figure


def _heat_map(table: AgentTable, value_name: str) -> go.Heatmap:
    import plotly.graph_objects as go

    small = max(table.values.shape) <= NUMBERED
    return go.Heatmap(
        z=table.values.astype(np.float32),
        colorscale=COLOURS,
        hoverongaps=False,
        xgap=1,
        ygap=1,
        texttemplate="%{z:.3g}" if small else "",
        colorbar={
            "title": {"text": escaped(value_name), "side": "right", "font": {"size": 13}},
            "thickness": 12,
            "outlinewidth": 0,
        },
        hovertemplate=(
            f"{escaped(table.row_agent)}: %{{y}}<br>{escaped(table.column_agent)}: %{{x}}"
            f"<br>{escaped(value_name)} %{{z:.4g}}<extra></extra>"
        ),
    )


def _axes(table: AgentTable) -> dict[str, Any]:
    """Names, ticks and ranges of the axes for one table, and the frame of the best trial's cell."""
    rows, columns = table.values.shape
    shapes = []
    if table.chosen is not None:
        row, column = table.chosen
        shapes = [
            {
                "type": "rect", "xref": "x", "yref": "y", "x0": column - 0.5, "x1": column + 0.5,
                "y0": row - 0.5, "y1": row + 0.5, "line": {"color": BEST, "width": 3},
            }
        ]  # fmt: skip
    small = 9 if max(rows, columns) > 20 else 12
    return {
        "shapes": shapes,
        "xaxis.tickvals": list(range(columns)),
        "xaxis.ticktext": [escaped(a) for a in table.column_actions],
        "xaxis.range": [-0.5, columns - 0.5],
        "xaxis.title": {"text": escaped(table.column_agent), "font": {"size": 13}, "standoff": 10},
        "xaxis.tickfont": {"size": small},
        "xaxis.tickangle": -90 if columns > NUMBERED else 0,
        "yaxis.tickvals": list(range(rows)),
        "yaxis.ticktext": [escaped(a) for a in table.row_actions],
        "yaxis.range": [rows - 0.5, -0.5],
        "yaxis.title": {"text": escaped(table.row_agent), "font": {"size": 13}, "standoff": 10},
        "yaxis.tickfont": {"size": small},
    }


def _title(table: AgentTable) -> str:
    return f"{table.row_agent} → {table.column_agent}"


def choices_figure(choices: LayerChoices, best_trial: int | None) -> go.Figure:
    """Layers by trials, a panel a hyperparameter, coloured by the value's rank; at the right the best trial.

    Of more than `COLUMNS` trials evenly spaced ones are shown.
    """
    import plotly.graph_objects as go

    columns = shown_columns(choices)
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
    """Whether there is anything to draw: a layer with a value in some trial."""
    return any(np.isfinite(values).any() for values in choices.values.values())


def shown_columns(choices: LayerChoices) -> NDArray[np.int64]:
    """Indices of the trials that fit into a heat map, evenly spaced."""
    count = len(choices.trials)
    return np.unique(np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(np.int64))


def _panel(
    name: str,
    layers: Sequence[str],
    shown: NDArray[np.float64],
    trials: NDArray[np.int64],
    every: NDArray[np.float64],
    axis: str,
    domain: tuple[float, float],
) -> go.Heatmap:
    """One hyperparameter of every layer over the trials; each value that occurs has its colour."""
    import plotly.graph_objects as go

    values, ranks = _ranked(every, shown)
    step = -(-len(values) // TICKS)
    ticks = list(range(0, len(values), step))
    return go.Heatmap(
        x=trials,
        y=list(range(len(layers))),
        z=ranks,
        customdata=np.nan_to_num(shown, nan=-1).astype(np.int16 if values[-1] < 2**15 else np.int32),
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
    """The best trial's values once more, wide enough to be read."""
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
    every: NDArray[np.float64], shown: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """The values that occur anywhere, rising, and the rank of each that is shown; NaN stays.

    Ranks take a byte each where they can, rather than four: there may be a hundred thousand.
    """
    values = np.unique(every[np.isfinite(every)])
    missing = np.isnan(shown)
    ranks = np.searchsorted(values, np.nan_to_num(shown))
    if values.size < 256 and not missing.any():
        return values, ranks.astype(np.uint8)
    return values, np.where(missing, np.nan, ranks).astype(np.float32)


def _scale(count: int) -> dict[str, Any]:
    """A colour scale of so many steps, for ranks from 0."""
    colours = _colour_scale(count)
    steps = [[edge / count, colour] for i, colour in enumerate(colours) for edge in (i, i + 1)]
    return {"colorscale": steps, "zmin": -0.5, "zmax": count - 0.5}


def _colour_scale(count: int) -> list[str]:
    from plotly.colors import sample_colorscale

    at = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
    return list(sample_colorscale(COLOURS, at.tolist()))


def _rgb(colour: str) -> list[int]:
    """``rgb(68, 1, 84)`` as three numbers."""
    return [round(float(part)) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
