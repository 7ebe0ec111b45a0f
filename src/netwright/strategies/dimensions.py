"""The continuous relaxation: every dimension as a position in [0, 1], and back (SegNAS3D, section 2.3).

A dimension of k values divides [0, 1] into k cells. On a linear scale all cells are equally wide. Up to an affine map
this is the paper's floor over the half-open interval [low, high + 1). Reflections, mutations and clipping commute with
affine maps, so a strategy proposes the same points in either coordinates. A position of exactly 1, which clipping can
produce, belongs to the last cell. The paper says nothing about logarithmic scales. Here the interval is mapped by its
logarithm: [log(low), log(high + 1)] for integers, [log(low), log(high)] for floats. Categorical values are cells in
the order of their choices, as in the paper's operation genes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.strategies.base import Choice, Dimension, Value

Point = NDArray[np.float64]


def _cells(dimension: Dimension, step: float) -> int:
    return round((dimension.high - dimension.low) / step) + 1


def value_at(dimension: Dimension, position: float) -> Value:
    """The value whose cell contains a position in [0, 1]: Python's own int or float, or one of the choices."""
    low, high = dimension.low, dimension.high
    if dimension.step is None:
        return _float_at(dimension, position)
    if dimension.log:
        return int(min(max(low * ((high + 1) / low) ** position, low), high))
    cells = _cells(dimension, dimension.step)
    index = min(int(position * cells), cells - 1)
    if dimension.kind == "categorical":
        return dimension.choices[index]
    if dimension.kind == "integer":
        return int(low) + index * int(dimension.step)
    return min(low + index * dimension.step, high)


DIGITS = 12
"""The digits of a real number that count, so that a number of fewer digits comes back from its position as it was. On a
linear scale they are counted from the width of the dimension."""


def _float_at(dimension: Dimension, position: float) -> float:
    low, high = dimension.low, dimension.high
    if position in (0.0, 1.0):
        return high if position else low
    if dimension.log:
        value = float(f"{low * (high / low) ** position:.{DIGITS}g}")
    else:
        span = math.ceil(math.log10(high - low)) if high > low else 0
        value = round(low + position * (high - low), DIGITS - span)
    return min(max(value, low), high)


def position_of(dimension: Dimension, value: Value) -> float:
    """The centre of a value's cell, in [0, 1]. For a continuous dimension, the value's own position.

    Raises:
        ValueError: the dimension has no such value.

    >>> position_of(Dimension("depth", "integer", 1, 4, step=1), 1)
    0.125
    """
    if dimension.kind == "categorical":
        if value not in dimension.choices:
            raise ValueError(f"{dimension.name!r} is one of {dimension.choices}, not {value!r}")
        return (dimension.choices.index(value) + 0.5) / len(dimension.choices)
    low, high = dimension.low, dimension.high
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{dimension.name!r} lies between {low:g} and {high:g}, not at {value!r}")
    if dimension.log:
        top = high if dimension.step is None else high + 1
        centre = value if dimension.step is None else math.sqrt(value * (value + 1.0))
        return math.log(centre / low) / math.log(top / low) if top > low else 0.5
    if dimension.step is None:
        return (value - low) / (high - low) if high > low else 0.5
    index = (value - low) / dimension.step
    if abs(index - round(index)) > 1e-8:
        raise ValueError(
            f"{dimension.name!r} goes from {low:g} in steps of {dimension.step:g}, not to {value!r}"
        )
    return (round(index) + 0.5) / _cells(dimension, dimension.step)


def choice_at(dimensions: Sequence[Dimension], point: Point) -> Choice:
    """The choice whose cell contains a point: floor(x) in section 2.3.

    Args:
        dimensions: the dimensions of the choice.
        point: positions in [0, 1], shape (dimensions,).
    """
    return {d.name: value_at(d, position) for d, position in zip(dimensions, point.tolist(), strict=True)}


def point_of(dimensions: Sequence[Dimension], choice: Mapping[str, Value]) -> Point:
    """The centre of a choice's cell, shape (dimensions,). Names that are not dimensions are ignored.

    Raises:
        KeyError: the choice lacks a dimension.
        ValueError: a dimension does not have the given value.
    """
    return np.array([position_of(d, choice[d.name]) for d in dimensions])


def point_of_first(dimensions: Sequence[Dimension], first: Mapping[str, Value]) -> Point:
    """The point of a choice that a user gave as the start.

    Raises:
        SettingsError: the choice lacks a dimension, or a dimension does not have the given value.
    """
    if not isinstance(first, Mapping):
        raise SettingsError(f"first is {first!r}, but expected a value for every dimension, by name")
    try:
        return point_of(dimensions, first)
    except KeyError as error:
        raise SettingsError(f"first names no value for {error}: give one for every dimension") from None
    except ValueError as error:
        raise SettingsError(f"first does not fit the dimensions: {error}") from None
