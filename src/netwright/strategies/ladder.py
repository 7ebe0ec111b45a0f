"""Dimensions as ladders of values, for strategies that know places and no values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.base import Choice, Dimension, Stamp, Value
from netwright.strategies.dimensions import point_of_first, position_of, value_at

Levels = NDArray[np.int64]
"""A rung for every coordinate."""

TRIES = 20
"""So often levels that were tried are drawn again; then they have to do."""


@dataclass(frozen=True)
class Ladder:
    """The values of one dimension, from low to high, evenly spaced."""

    dimension: Dimension
    values: tuple[Value, ...]

    def level_of(self, value: Value) -> int:
        """The rung of a value, or the nearest one. ValueError: the dimension has no such value."""
        return int(np.argmin(np.abs(self._positions - position_of(self.dimension, value))))

    @cached_property
    def _positions(self) -> NDArray[np.float64]:
        return np.array([position_of(self.dimension, rung) for rung in self.values])


def ladder_of(dimension: Dimension, levels: int) -> Ladder:
    """All values of a dimension, or of very many ``levels`` evenly spaced ones, lowest and highest included."""
    if dimension.kind == "categorical":
        return Ladder(dimension, dimension.choices)
    step = dimension.step
    if step is not None and round((dimension.high - dimension.low) / step) < levels:
        count = round((dimension.high - dimension.low) / step) + 1
        spaced = [min(dimension.low + index * step, dimension.high) for index in range(count)]
        whole = dimension.kind == "integer"
        return Ladder(dimension, tuple(int(value) if whole else value for value in spaced))
    found = (value_at(dimension, position) for position in np.linspace(0.0, 1.0, levels).tolist())
    return Ladder(dimension, tuple(dict.fromkeys(found)))


def within(ladders: Sequence[Ladder], levels: Levels) -> Levels:
    """Levels (coordinates,), cut off at the ends of the ladders."""
    highest = np.array([len(ladder.values) - 1 for ladder in ladders])
    clipped: Levels = np.clip(levels, 0, highest)
    return clipped


def levels_of(ladders: Sequence[Ladder], choice: Mapping[str, Value]) -> Levels:
    """The levels (coordinates,) of a choice."""
    return np.array([ladder.level_of(choice[ladder.dimension.name]) for ladder in ladders])


def levels_of_first(ladders: Sequence[Ladder], first: Mapping[str, Value]) -> Levels:
    """The levels of a choice that a user gave to start from.

    Raises:
        SettingsError: it lacks a dimension, or a value is none of its dimension.
    """
    point_of_first([ladder.dimension for ladder in ladders], first)
    return levels_of(ladders, first)


def choice_of(ladders: Sequence[Ladder], levels: Levels) -> Choice:
    """The choice that levels stand for."""
    paired = zip(ladders, levels.tolist(), strict=True)
    return {ladder.dimension.name: ladder.values[level] for ladder, level in paired}


def key_of(levels: Levels) -> bytes:
    """Levels as something that sets can hold."""
    return levels.astype(np.int64).tobytes()


def untried(draw: Callable[[int], Levels], tried: frozenset[bytes], pending: Sequence[Stamp]) -> Levels:
    """Levels as ``draw`` gives them, told how often it was asked before; again where they were tried, or are pending.

    Args:
        draw: how levels are drawn.
        tried: `key_of` those that were trained.
        pending: stamps with ``levels``.
    """
    known = tried | {key_of(np.array(stamp["levels"])) for stamp in pending}
    for number in range(TRIES):
        levels = draw(number)
        if key_of(levels) not in known:
            break
    return levels
