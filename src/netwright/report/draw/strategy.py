"""A strategy's own sections about its search. Each kind of picture has a function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.report.draw.agents import table_blocks
from netwright.report.draw.style import INK, QUIET, escaped, style
from netwright.report.sections import STRATEGY, Block, Figure, Heading, Section, Sentences
from netwright.strategies.pictures import AgentTables, StepMeans, StrategySection, ValuesOverTime

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = "Viridis"
STEPS = (
    ("a step down", "triangle-left"),
    ("as it was", "circle"),
    ("a step up", "triangle-right"),
)
ROW_PIXELS = 14
"""Height of a row in both figures."""


def strategy_sections(sections: Iterable[StrategySection]) -> tuple[Section, ...]:
    """The sections of a strategy, drawn."""
    return tuple(_section(section) for section in sections)


def _section(section: StrategySection) -> Section:
    blocks: list[Block] = [Sentences(section.sentences)] if section.sentences else []
    for picture in section.pictures:
        blocks += PICTURES[type(picture)](picture)
    return Section(section.anchor, section.title, tuple(blocks), STRATEGY + section.order, link=section.link)


def values_figure(picture: ValuesOverTime) -> go.Figure:
    """Rows by moments. The colour is the position of a value in its range. The last values are at the right."""
    import plotly.graph_objects as go

    moments = len(picture.values)
    values = np.array(picture.values, dtype=object).T
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(picture.positions, dtype=np.float32).T,
            x=list(range(1, moments + 1)),
            y=list(range(len(picture.rows))),
            customdata=values,
            colorscale=COLOURS,
            zmin=0,
            zmax=1,
            xgap=1 if moments <= 60 else 0,
            colorbar={
                "title": {"text": "place in its range", "side": "right", "font": {"size": 13}},
                "tickvals": [0, 1], "ticktext": ["lowest", "highest"], "thickness": 12, "outlinewidth": 0,
            },
            hovertemplate=f"%{{y}}, {escaped(picture.moment)} %{{x}}: %{{customdata}}<extra></extra>",
        )
    )  # fmt: skip
    for row, text in enumerate(picture.values[-1]):
        figure.add_annotation(
            x=0.93,
            xref="paper",
            y=row,
            text=escaped(text),
            showarrow=False,
            xanchor="left",
            font={"size": 10},
        )
    _rows(figure, picture.rows)
    figure.update_xaxes(title=escaped(picture.moment), showgrid=False, domain=[0, 0.92])
    return figure


def means_figure(picture: StepMeans) -> go.Figure:
    """The number of each step, row by row. It is filled where the step was taken."""
    import plotly.graph_objects as go

    figure = go.Figure()
    rows = np.arange(len(picture.rows))
    for group, (name, symbol) in enumerate(STEPS):
        taken = picture.moves == group - 1
        figure.add_trace(
            go.Scatter(
                x=picture.means[:, group],
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
    _rows(figure, picture.rows)
    figure.update_xaxes(title=escaped(picture.axis))
    figure.update_yaxes(showgrid=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})
    return figure


def _rows(figure: go.Figure, names: tuple[str, ...]) -> None:
    """One row for each name, the first at the top."""
    count = len(names)
    style(figure, height=int(ROW_PIXELS * max(count, 6) + 110))
    figure.update_yaxes(
        tickvals=list(range(count)),
        ticktext=[escaped(name) for name in names],
        range=[count - 0.5, -0.5],
        showgrid=False,
        tickfont={"size": 10},
        automargin=True,
    )


def _values_over_time(picture: ValuesOverTime) -> tuple[Block, ...]:
    return (Figure(picture.name, values_figure(picture), picture.caption),)


def _step_means(picture: StepMeans) -> tuple[Block, ...]:
    return Heading(picture.heading), Figure(picture.name, means_figure(picture), picture.caption)


def _agent_tables(picture: AgentTables) -> tuple[Block, ...]:
    return table_blocks(picture.tables, picture.value_name)


PICTURES: dict[type, Callable[[Any], tuple[Block, ...]]] = {
    ValuesOverTime: _values_over_time,
    StepMeans: _step_means,
    AgentTables: _agent_tables,
}
"""How each kind of picture is drawn."""
