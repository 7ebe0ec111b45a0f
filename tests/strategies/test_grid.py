"""Dimensions as finite lists of values, and the agents that decide them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.strategies.base import Dimension
from netwright.strategies.grid import Agent, Axis, make_agents


def categorical(name: str, *choices: Any) -> Dimension:
    return Dimension(name, "categorical", 0, len(choices) - 1, 1, choices=choices)


def numbers(low: int, high: int, step: int = 1, log: bool = False) -> Dimension:
    return Dimension("width", "integer", low, high, step, log)


# axes


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (numbers(3, 7), (3, 4, 5, 6, 7)),
        (numbers(8, 32, 8), (8, 16, 24, 32)),
        (numbers(1, 16, log=True), tuple(range(1, 17))),
        (Dimension("scale", "float", -1.0, 1.0, 0.5), (-1.0, -0.5, 0.0, 0.5, 1.0)),
        (Dimension("rate", "float", 0.0, 0.3, 0.1), (0.0, 0.1, 0.2, 0.3)),
        (categorical("operation", "none", None, True, 3, 0.5), ("none", None, True, 3, 0.5)),
        (categorical("kernels", *range(20)), tuple(range(20))),
    ],
)
def test_a_dimension_of_few_values_has_them_all(dimension: Dimension, values: tuple[Any, ...]) -> None:
    axis = Axis(dimension)
    assert axis.values == pytest.approx(values) if dimension.kind == "float" else axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]
    assert [axis.level_of(value) for value in axis.values] == list(range(len(axis)))


@pytest.mark.parametrize(
    ("dimension", "most", "values"),
    [
        (Dimension("rate", "float", 0.0, 1.0), 4, (0.125, 0.375, 0.625, 0.875)),
        (Dimension("rate", "float", 1e-4, 1.0, log=True), 2, (1e-3, 1e-1)),
        (numbers(1, 40), 4, (6, 16, 26, 36)),
        (numbers(10, 50, 10), 2, (20, 40)),
    ],
)
def test_a_dimension_of_many_values_has_the_middle_of_each_cell(
    dimension: Dimension, most: int, values: tuple[float, ...]
) -> None:
    axis = Axis(dimension, most)
    assert axis.values == pytest.approx(values)
    assert {type(value) for value in axis.values} == {int if dimension.kind == "integer" else float}


def test_cells_without_a_value_of_their_own_are_dropped() -> None:
    axis = Axis(numbers(1, 1000, log=True), 16)
    assert len(axis) < 16
    assert list(axis.values) == sorted(set(axis.values))


@given(
    low=st.integers(-50, 50), count=st.integers(2, 200), value=st.integers(0, 199), most=st.integers(2, 20)
)
def test_the_nearest_level_stands_for_a_value(low: int, count: int, value: int, most: int) -> None:
    axis = Axis(numbers(low, low + count - 1), most)
    wanted = low + value % count
    distances = [abs(known - wanted) for known in axis.values]  # type: ignore[operator]
    assert distances[axis.level_of(wanted)] == min(distances)


@given(value=st.floats(1e-5, 1e-1))
def test_the_nearest_level_of_a_logarithmic_scale_is_that_of_its_cell(value: float) -> None:
    axis = Axis(Dimension("rate", "float", 1e-5, 1e-1, log=True), 8)
    known = axis.values[axis.level_of(value)]
    assert 10**-0.2501 < value / known < 10**0.2501  # type: ignore[operator]


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (numbers(1, 9), 10),
        (numbers(1, 100), 0),
        (numbers(0, 8, 2), 3),
        (numbers(0, 8, 2), "2"),
        (Dimension("rate", "float", 0.0, 1.0), 1.5),
        (categorical("operation", "none", "skip"), "convolution"),
        (categorical("rate", 0.1, 0.2), 0.15),
    ],
)
def test_a_value_of_another_dimension_is_refused(dimension: Dimension, value: Any) -> None:
    with pytest.raises(ValueError, match=dimension.name):
        Axis(dimension).level_of(value)


def test_a_stored_nan_is_found_again() -> None:
    assert Axis(categorical("weight", 1.0, float("nan"))).level_of(float("nan")) == 1


@pytest.mark.parametrize(
    ("dimension", "ordered"),
    [
        (numbers(0, 1), True),
        (Dimension("rate", "float", 0.0, 1.0), True),
        (categorical("kernels", 16, 32, 64), True),
        (categorical("rate", 0.5, 1, 2.5), True),
        (categorical("stride", 1, 2), False),
        (categorical("kernels", 64, 16, 32), False),
        (categorical("kernels", 16, 16, 32), False),
        (categorical("operation", "a", "b", "c"), False),
        (categorical("mixed", 1, 2, "3"), False),
        (categorical("flag", False, True, 2), False),
    ],
)
def test_numbers_that_rise_are_ordered(dimension: Dimension, ordered: bool) -> None:
    assert Axis(dimension).ordered == ordered


# agents

LAYERS = [categorical(name, 1, 2) for name in ("a.kernels", "a.kernel_size", "b.pool_size", "c.d.units")]
NAMES = [["a.kernels", "a.kernel_size"], ["b.pool_size"], ["c.d.units"]]


def test_without_agents_each_dimension_is_one_in_a_chain() -> None:
    agents, edges = make_agents([categorical("x", 1, 2), categorical("b.y", 1, 2)], None, None)
    assert agents == (Agent("x", (0,)), Agent("b", (1,)))
    assert edges == ((0, 1),)
    assert make_agents([], None, None) == ((), ())


def test_agents_decide_the_dimensions_that_they_name() -> None:
    shuffled = [LAYERS[i] for i in (3, 1, 0, 2)]
    agents, edges = make_agents(shuffled, NAMES, None)
    assert agents == (Agent("a", (2, 1)), Agent("b", (3,)), Agent("c.d", (0,)))
    assert edges == ((0, 1), (1, 2))
    assert make_agents(LAYERS, NAMES, [(1, 2), (0, 2), (1, 2)])[1] == ((0, 2), (1, 2))
    assert make_agents(LAYERS, NAMES, [])[1] == ()


def test_an_agent_of_several_layers_is_called_by_all_its_names() -> None:
    agents, _ = make_agents(LAYERS, [["a.kernels", "b.pool_size"], ["a.kernel_size"], ["c.d.units"]], None)
    assert [agent.name for agent in agents] == ["a.kernels, b.pool_size", "a", "c.d"]


def test_an_agent_without_a_dimension_is_left_out_and_its_neighbours_are_joined() -> None:
    agents, edges = make_agents([LAYERS[0], LAYERS[3]], NAMES, None)
    assert agents == (Agent("a", (0,)), Agent("c.d", (1,)))
    assert edges == ((0, 1),)


def test_several_agents_in_a_row_are_left_out() -> None:
    names = [["a.kernels"], ["gone"], ["b.pool_size"], ["lost", "away"], ["none"], ["c.d.units"]]
    kept = [LAYERS[0], LAYERS[2], LAYERS[3]]
    edges = [(0, 1), (2, 1)[::-1], (0, 3), (2, 3), (3, 4), (4, 5)]
    assert make_agents(kept, names, edges)[1] == ((0, 1), (0, 2), (1, 2))


@pytest.mark.parametrize(
    ("agents", "edges", "part"),
    [
        ([["a.kernels"], ["b.pool_size"], ["c.d.units"]], None, "a.kernel_size"),
        ([*NAMES, ["b.pool_size"]], None, "b.pool_size"),
        ([[*NAMES[0], "a.kernels"], *NAMES[1:]], None, "a.kernels"),
        (["a.kernels", "a.kernel_size", "b.pool_size", "c.d.units"], None, "list of names"),
        ([3], None, "list of names"),
        (NAMES, [(1, 0)], r"\(1, 0\)"),
        (NAMES, [(1, 1)], r"\(1, 1\)"),
        (NAMES, [(0, 3)], "< 3"),
        (NAMES, [(-1, 2)], "-1"),
        (NAMES, [(0, 1, 2)], "pairs"),
        (NAMES, [("a", "b")], "pairs"),
        (NAMES, [5], "5"),
    ],
)
def test_agents_and_edges_that_do_not_fit_are_named(agents: Any, edges: Any, part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        make_agents(LAYERS, agents, edges)
