"""What a strategy shows in the report, as plain data: sentences and pictures. The report draws them.

A strategy with something to show has a method ``report`` (`netwright.strategies.base.Reporting`) that returns
`StrategySection` objects. There are three kinds of pictures. A new kind needs a class here and a function that draws it
in ``netwright/report/draw/strategy.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ValuesOverTime:
    """The values of named rows at successive moments, as a heat map.

    Args:
        name: name of the picture, unique in the report.
        rows: names of the rows.
        values: for each moment a tuple with the value of each row, as text.
        positions: the position of each value in its range, from 0 (lowest) to 1 (highest): shape (moments, rows).
        moment: what a moment is, for example "round".
        caption: text below the picture.
    """

    name: str
    rows: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    positions: NDArray[np.float64]
    moment: str
    caption: str


@dataclass(frozen=True, eq=False)
class StepMeans:
    """Three means for each named row: after a step down, no step and a step up; and the step that was taken.

    Args:
        name: name of the picture, unique in the report.
        heading: text above it.
        rows: names of the rows.
        means: shape (rows, 3); NaN where there is none.
        moves: the steps taken, -1, 0 or 1: shape (rows,).
        axis: what the numbers are.
        caption: text below the picture.
    """

    name: str
    heading: str
    rows: tuple[str, ...]
    means: NDArray[np.float64]
    moves: NDArray[np.int64]
    axis: str
    caption: str


@dataclass(frozen=True, eq=False)
class AgentTable:
    """What two connected agents have learned together: a value for each pair of their actions.

    Args:
        row_agent: name of the first agent.
        column_agent: name of the second.
        row_actions: short texts (`action_text`).
        column_actions: the same.
        values: shape (row actions, column actions); NaN where the pair has not been tried.
        chosen: row and column of the best trial's actions.
    """

    row_agent: str
    column_agent: str
    row_actions: tuple[str, ...]
    column_actions: tuple[str, ...]
    values: NDArray[np.float64]
    chosen: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class AgentTables:
    """Tables of agents. ``value_name``: what the tables contain, in words."""

    tables: tuple[AgentTable, ...]
    value_name: str


Picture = ValuesOverTime | StepMeans | AgentTables


@dataclass(frozen=True)
class StrategySection:
    """A section of the report.

    Args:
        anchor: its address in the page. Sections with the same anchor are merged.
        title: its heading.
        link: its name in the list of sections.
        sentences: text below the heading.
        pictures: pictures below the text.
        order: its position among the sections of strategies and layers.
    """

    anchor: str
    title: str
    link: str
    sentences: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    order: int = 0
