"""What a strategy shows of its search, as plain data: sentences and pictures. The report draws them.

A strategy with something to show has a method ``report`` (`netwright.strategies.base.Reporting`) that returns
`StrategySection` objects. There are three kinds of pictures; a new kind is a class here and a function that draws it in
``netwright/report/draw/strategy.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ValuesOverTime:
    """The values of named rows at successive moments, as a heat map.

    Args:
        name: of the picture, of no other one in a report.
        rows: names.
        values: a tuple for each moment with the value of each row, as text.
        positions: where in its range each value lies, from 0, the lowest, to 1, the highest: shape (moments, rows).
        moment: what a moment is, for example "round".
        caption: what is to be said of it.
    """

    name: str
    rows: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    positions: NDArray[np.float64]
    moment: str
    caption: str


@dataclass(frozen=True, eq=False)
class StepMeans:
    """For each named row three numbers, of a step down, no step and a step up, and which of them was taken.

    Args:
        name: of the picture, of no other one in a report.
        heading: over it.
        rows: names.
        means: shape (rows, 3); NaN where there is none.
        moves: the steps taken, -1, 0 or 1: shape (rows,).
        axis: what the numbers are.
        caption: what is to be said of it.
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
    """Tables of agents. ``value_name``: what is in them, in words."""

    tables: tuple[AgentTable, ...]
    value_name: str


Picture = ValuesOverTime | StepMeans | AgentTables


@dataclass(frozen=True)
class StrategySection:
    """A section of the report.

    Args:
        anchor: its address in the page. Sections of one anchor become one.
        title: its heading.
        link: its name in the list of sections.
        sentences: below the heading.
        pictures: below these.
        order: of the section among those of strategies and of layers.
    """

    anchor: str
    title: str
    link: str
    sentences: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    order: int = 0
