"""The continuous relaxation: floor over [low, high + 1), its bounds, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution

from netwright.strategies.base import Dimension
from netwright.strategies.dimensions import choice_at, point_of, position_of, value_at
from netwright.strategies.view import dimension_of

positions = st.floats(0.0, 1.0)


@st.composite
def dimensions(draw: st.DrawFn) -> Dimension:
    kind = draw(st.sampled_from(["integer", "float", "categorical"]))
    if kind == "categorical":
        choices = tuple(draw(st.lists(st.sampled_from("abcdefghi"), min_size=1, max_size=9, unique=True)))
        return Dimension("x", "categorical", 0, len(choices) - 1, 1, choices=choices)
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    step = 1 if log else draw(st.integers(1, 7))
    high = low + step * draw(st.integers(0, 500))
    if kind == "integer":
        return Dimension("x", "integer", low, high, step, log)
    if log:
        return Dimension("x", "float", low * 1e-4, high * 0.7 + 1, None, True)
    return Dimension("x", "float", low / 8, high / 8, draw(st.sampled_from([None, step / 8])))


def contains(dimension: Dimension, value: object) -> bool:
    if dimension.kind == "categorical":
        return value in dimension.choices
    assert type(value) is (int if dimension.kind == "integer" else float)
    inside = dimension.low <= value <= dimension.high
    steps = 0.0 if dimension.step is None else (value - dimension.low) / dimension.step
    return inside and abs(steps - round(steps)) < 1e-9


@given(dimensions(), positions)
def test_every_position_is_a_value_within_bounds(dimension: Dimension, position: float) -> None:
    assert contains(dimension, value_at(dimension, position))


@pytest.mark.filterwarnings("ignore:The distribution is specified by")
@given(st.integers(-100_000, 100_000), st.integers(1, 99), st.integers(0, 500), st.integers(0, 6), positions)
def test_steps_that_are_no_binary_fractions_lead_to_values_that_optuna_has(
    low: int, step: int, count: int, digits: int, position: float
) -> None:
    """A proposal that Optuna does not have ends a search."""
    unit = 10.0**-digits
    distribution = FloatDistribution(low * unit, (low + count * step) * unit, step=step * unit)
    assert distribution._contains(value_at(dimension_of("x", distribution), position))


@given(dimensions())
def test_the_bounds_are_the_extreme_values(dimension: Dimension) -> None:
    first, last = dimension.low, dimension.high
    if dimension.kind == "categorical":
        first, last = dimension.choices[0], dimension.choices[-1]
    assert value_at(dimension, 0.0) == pytest.approx(first)
    assert value_at(dimension, 1.0) == pytest.approx(last)


@given(dimensions(), positions)
def test_a_cell_centre_falls_into_its_cell(dimension: Dimension, position: float) -> None:
    value = value_at(dimension, position)
    centre = position_of(dimension, value)
    assert 0.0 <= centre <= 1.0
    if dimension.step is None:
        assert value_at(dimension, centre) == value
    else:
        assert value_at(dimension, centre) == value


@given(st.integers(-50, 50), st.integers(0, 60), positions)
def test_integers_are_the_papers_floor(low: int, width: int, position: float) -> None:
    high = low + width
    x = low + position * (high + 1 - low)
    if position < 1.0 and abs(x - round(x)) > 1e-9:
        assert value_at(Dimension("x", "integer", low, high, 1), position) == math.floor(x)


def test_cells_of_a_linear_scale_are_equally_wide() -> None:
    operations = Dimension("op", "integer", 0, 6, 1)
    values = [value_at(operations, (i + 0.5) / 7000) for i in range(7000)]
    assert np.bincount(np.array(values, dtype=int)).tolist() == [1000] * 7


def test_a_logarithmic_scale_gives_each_octave_the_same_share() -> None:
    width = Dimension("width", "integer", 1, 63, 1, log=True)
    values = [value_at(width, (i + 0.5) / 6000) for i in range(6000)]
    octaves = np.bincount([int(math.log2(float(str(v)))) for v in values])
    assert octaves == pytest.approx([1000] * 6, abs=2)


def test_points_and_choices_are_inverse_in_the_order_of_the_dimensions() -> None:
    space = [
        Dimension("nodes", "integer", 2, 4, 1),
        Dimension("optimiser", "categorical", 0, 1, 1, choices=("nadam", "sgd")),
        Dimension("rate", "float", 1e-5, 1e-1, log=True),
    ]
    choice = {"rate": 1e-3, "nodes": 3, "optimiser": "sgd", "unknown": 7}
    point = point_of(space, choice)
    assert point == pytest.approx([0.5, 0.75, 0.5])
    found = choice_at(space, point)
    assert list(found) == ["nodes", "optimiser", "rate"]
    assert found == {"nodes": 3, "optimiser": "sgd", "rate": pytest.approx(1e-3)}


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Dimension("x", "integer", 0, 6, 1), 7),
        (Dimension("x", "integer", 0, 6, 2), 3),
        (Dimension("x", "float", 0.0, 1.0), -0.1),
        (Dimension("x", "float", 0.0, 1.0), "half"),
        (Dimension("x", "categorical", 0, 1, 1, choices=("a", "b")), "c"),
    ],
)
def test_a_value_that_is_none_of_the_dimension_is_refused(dimension: Dimension, value: object) -> None:
    with pytest.raises(ValueError, match=r"'x'.*not"):
        position_of(dimension, value)  # type: ignore[arg-type]


@given(
    st.sampled_from([(0.125, 8.0, True), (1e-6, 1.0, True), (-3.0, 5.0, False), (0.0, 1e6, False)]),
    st.integers(0, 10_000),
)
def test_a_number_that_a_user_gives_comes_back_as_it_was(bounds: tuple[float, float, bool], at: int) -> None:
    low, high, log = bounds
    number = float(f"{low + at / 10_000 * (high - low):.6g}")
    dimension = Dimension("rate", "float", low, high, log=log)
    assert value_at(dimension, position_of(dimension, number)) == number
