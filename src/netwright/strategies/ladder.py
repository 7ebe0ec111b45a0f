"""Dimensions as ladders of values, for strategies that only use the index of a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.base import Choice, Dimension, Stamp, Value
from netwright.strategies.dimensions import point_of_first, position_of, value_at
from netwright.strategies.growing import GrowingSet

Levels = NDArray[np.int64]
"""The index of a rung on each ladder."""

TRIES = 20
"""Levels that were already tried are drawn again at most this many times; then they are used."""


@dataclass(frozen=True)
class Ladder:
    """The values of one dimension, from low to high, evenly spaced."""

    dimension: Dimension
    values: tuple[Value, ...]

    def level_of(self, value: Value) -> int:
        """The rung of a value, or the nearest one.

        Raises:
            ValueError: the dimension has no such value.
        """
        return int(np.argmin(np.abs(self._positions - position_of(self.dimension, value))))

    @cached_property
    def _positions(self) -> NDArray[np.float64]:
        return np.array([position_of(self.dimension, rung) for rung in self.values])


def ladder_of(dimension: Dimension, levels: int) -> Ladder:
    """All values of a dimension; if there are more than ``levels``, that many evenly spaced ones, with both ends."""
    if dimension.kind == "categorical":
        return Ladder(dimension, dimension.choices)
    step = dimension.step
    if step is not None and round((dimension.high - dimension.low) / step) < levels:
        count = round((dimension.high - dimension.low) / step) + 1
        spaced = [min(dimension.low + index * step, dimension.high) for index in range(count)]
        whole = dimension.kind == "integer"
        return Ladder(dimension, tuple(int(value) if whole else value for value in spaced))
    values = (value_at(dimension, position) for position in np.linspace(0.0, 1.0, levels).tolist())
    return Ladder(dimension, tuple(dict.fromkeys(values)))


def within(ladders: Sequence[Ladder], levels: Levels) -> Levels:
    """Levels (coordinates,), clipped to the ends of the ladders."""
    highest = np.array([len(ladder.values) - 1 for ladder in ladders])
    clipped: Levels = np.clip(levels, 0, highest)
    return clipped


def levels_of(ladders: Sequence[Ladder], choice: Mapping[str, Value]) -> Levels:
    """The levels (coordinates,) of a choice."""
    return np.array([ladder.level_of(choice[ladder.dimension.name]) for ladder in ladders])


def levels_of_first(ladders: Sequence[Ladder], first: Mapping[str, Value]) -> Levels:
    """The levels of a choice that a user gave as the start.

    Raises:
        SettingsError: the choice lacks a dimension, or a dimension does not have the given value.
    """
    point_of_first([ladder.dimension for ladder in ladders], first)
    return levels_of(ladders, first)


def choice_of(ladders: Sequence[Ladder], levels: Levels) -> Choice:
    """The choice at the given levels."""
    paired = zip(ladders, levels.tolist(), strict=True)
    return {ladder.dimension.name: ladder.values[level] for ladder, level in paired}


def key_of(levels: Levels) -> bytes:
    """Levels as bytes, for use in sets."""
    return levels.astype(np.int64).tobytes()


def untried(draw: Callable[[int], Levels], tried: GrowingSet[bytes], pending: Sequence[Stamp]) -> Levels:
    """Levels from ``draw``, drawn again while they were already tried or are pending (at most `TRIES` times).

    Args:
        draw: makes levels; its argument is the number of earlier attempts.
        tried: the `key_of` levels that were trained.
        pending: stamps with ``levels``.
    """
    running = [stamp["levels"] for stamp in pending]
    for number in range(TRIES):
        levels = draw(number)
        if key_of(levels) not in tried and levels.tolist() not in running:
            break
    return levels
