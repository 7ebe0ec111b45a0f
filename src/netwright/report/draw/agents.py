"""What the agents have learned: a heat map for each pair of connected agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from netwright.report.draw.pictures import png_uri
from netwright.report.draw.style import BEST, COLOURS, UNVISITED, colour_scale, escaped, style
from netwright.report.sections import Block, Captioned, Figure, Gallery, Heading, Picture, Sentences
from netwright.strategies.pictures import AgentTable

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_TABLES = 24
"""At most this many tables are shown. If there are more, those whose values differ most are shown."""

THUMBNAIL = 150
"""About how many pixels the longer side of a thumbnail has. Each cell is a whole number of pixels."""

NUMBERED = 12
"""With at most this many actions a side, the cells show their values as numbers."""


def telling(tables: Sequence[AgentTable], most: int = MOST_TABLES) -> tuple[int, ...]:
    """Indices, in rising order, of at most ``most`` tables: those whose visited values have the largest deviation.

    Tables without a visited value come after all others. Among equals, the earlier table is taken.
    """
    spread = [float(np.nanstd(t.values)) if np.isfinite(t.values).any() else -1.0 for t in tables]
    ranked = sorted(range(len(tables)), key=lambda i: (-spread[i], i))
    return tuple(sorted(ranked[:most]))


def table_blocks(tables: Sequence[AgentTable], value_name: str) -> tuple[Block, ...]:
    """The most informative tables: one heat map with a menu, and a small picture of each.

    Args:
        tables: in the order of the layers.
        value_name: what their values are, in words.
    """
    chosen = [tables[index] for index in telling(tables)]
    if not chosen:
        return ()
    menu = ": choose the pair of agents in the menu" if len(chosen) > 1 else ""
    caption = (
        f"Every pair of actions of two connected agents; rows are the actions of the first{menu}. Grey: not "
        "tried. The frame is the best trial's choice."
    )
    hidden = len(tables) - len(chosen)
    left_out = (
        f"{len(chosen)} of {len(tables)} tables, those with the largest differences, in the order of the layers; the "
        f"other {hidden} are not shown. "
    )
    told = (
        f"{left_out if hidden else ''}Each table has its own colours, from its lowest to its highest {value_name}, "
        "which is written below with its pair of actions."
    )
    return (
        Heading("What the agents learned together"),
        Figure("agents", tables_figure(chosen, value_name), caption),
        Gallery(tuple(map(_captioned, chosen)), "tables"),
        Sentences((told,), "caption"),
    )


def _captioned(table: AgentTable) -> Captioned:
    small = thumbnail(table)
    rows, columns = table.row_agent, table.column_agent
    lines = [f"{small['size']}, tried {small['visited']}"]
    if small["best"]:
        lines += [small["range"], f"highest {small['best']}"]
    return Captioned(
        Picture(small["uri"], f"{rows} by {columns}", small["width"], small["height"]),
        Markup('<b title="{0}">{0}</b><b title="{1}">→ {1}</b>').format(rows, columns),
        Markup("<br>").join(lines),
    )


def thumbnail(table: AgentTable) -> dict[str, Any]:
    """A table as a small picture with its caption: the visited pairs, the range and the best pair."""
    rows, columns = table.values.shape
    finite = np.isfinite(table.values)
    side = max(1, THUMBNAIL // max(1, rows, columns))
    pixels = np.repeat(np.repeat(_coloured(table.values), side, axis=0), side, axis=1)
    picture = Image.fromarray(pixels)
    if table.chosen is not None:
        row, column = table.chosen
        _frame(picture, row * side, column * side, side)
    small: dict[str, Any] = {
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
        small["range"] = f"{_number(np.nanmin(table.values))} to {_number(np.nanmax(table.values))}"
        small["best"] = f"{table.row_actions[row]} → {table.column_actions[column]}"
    return small


def _coloured(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The colours, shape (rows, columns, 3): from the lowest to the highest visited value; grey where nothing was
    visited.
    """
    colours = np.array([_rgb(c) for c in colour_scale(256)], dtype=np.uint8)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 1.0)
    share = (np.where(finite, values, low) - low) / max(high - low, 1e-12)
    pixels = colours[np.clip(np.rint(255 * share), 0, 255).astype(np.int64)]
    pixels[~finite] = [int(UNVISITED[i : i + 2], 16) for i in (1, 3, 5)]
    return pixels


def _frame(picture: Image.Image, top: int, left: int, side: int) -> None:
    """Draws a frame around the best trial's cell. It is visible on any colour."""
    draw = ImageDraw.Draw(picture)
    last = (picture.width - 1, picture.height - 1)
    for margin, colour in ((3, "#ffffff"), (2, BEST), (1, BEST)):
        box = (left - margin, top - margin, left + side - 1 + margin, top + side - 1 + margin)
        draw.rectangle(
            (max(0, box[0]), max(0, box[1]), min(last[0], box[2]), min(last[1], box[3])), outline=colour
        )


def tables_figure(tables: Sequence[AgentTable], value_name: str) -> go.Figure:
    """All tables as one heat map with a menu to select one. The rows are the first agent's actions."""
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


def _rgb(colour: str) -> list[int]:
    """``rgb(68, 1, 84)`` as three numbers."""
    return [round(float(part)) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
