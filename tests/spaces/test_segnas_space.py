"""Dimensions, canonical forms, words and drawings of the SegNAS3D spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from torch import nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.spaces import SPACES, Space


@dataclass(frozen=True)
class Shape:
    channels: int = 1
    classes: int = 3
    size: tuple[int, ...] = (8, 9, 10)


def choices(space: Space) -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries(
        {name: st.integers(d.low, d.high) for name, d in space.distributions().items() if hasattr(d, "low")}
    )


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


CONNECTING = {"n": (8, 32), "p": (2, 5), "sup": (0, 1), "res": (0, 1)}
BLOCK = {"nodes": (2, 4), **{f"op{index}": (0, 6) for index in range(1, 7)}}


@pytest.mark.parametrize(
    ("name", "bounds", "dimensions"),
    [("segnas11", CONNECTING | BLOCK, 11), ("segnas4", CONNECTING, 4), ("segnas7", BLOCK, 7)],
)
def test_has_the_bounds_of_table_2(name: str, bounds: dict[str, tuple[int, int]], dimensions: int) -> None:
    space = SPACES[name]()
    assert isinstance(space, Space)
    distributions = space.distributions()
    assert len(distributions) == dimensions
    assert list(distributions) == list(bounds)
    assert distributions == {key: IntDistribution(low, high) for key, (low, high) in bounds.items()}


def test_size_of_the_space_is_the_papers() -> None:
    # Section 2.3: "the number of hyperparameter combinations can be huge (>141 millions ...)".
    assert SPACES["segnas11"]().count_choices() == 25 * 4 * 2 * 2 * 3 * 7**6 == 141_178_800
    assert SPACES["segnas4"]().count_choices() == 400


def test_counts_blocks_of_few_nodes_by_hand() -> None:
    # Two nodes: six operations. Three: 6 * 7 * 6 legal ones, of which those with a skip from the second node to the
    # third and nothing from the first to the third (6), and no other, are blocks of two nodes again. Where the
    # skip is the second node's only edge it can go whenever the first is not joined to both: none but those.
    assert SPACES["segnas7"](nodes=2).count_blocks() == 6
    assert SPACES["segnas7"](nodes=(2, 4)).count_blocks() == 6 + 6 * 7 * 6 - 6
    assert SPACES["segnas4"]().count_blocks() == 1


def test_counts_all_blocks() -> None:
    assert SPACES["segnas11"]().count_blocks() < 6 + 252 + 83160


@pytest.mark.parametrize("name", sorted(SPACES))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_one_canonical_form_means_one_network(name: str, data: st.DataObject) -> None:
    space = SPACES[name](n=(2, 4), p=(1, 3))
    choice = data.draw(choices(space))
    canonical = space.canonical(choice)
    assert space.canonical(canonical) == canonical
    assert list(canonical) == [key for key in space.distributions() if key in canonical]
    assert all(type(value) is int for value in canonical.values())
    assert space.describe(canonical) == space.describe(choice)
    try:
        network = space.build(choice, Shape())
    except InfeasibleArchitecture as error:
        with pytest.raises(InfeasibleArchitecture, match=str(error).split(".")[0]):
            space.build(canonical, Shape())
        return
    assert shapes(space.build(canonical, Shape())) == shapes(network)


def test_unused_operations_are_dropped() -> None:
    space = SPACES["segnas11"]()
    base = {"n": 26, "p": 3, "sup": 0, "res": 1, "nodes": 3, "op1": 2, "op2": 5, "op3": 1}
    one = {**base, "op4": 6, "op5": 0, "op6": 2}
    other = {**base, "op4": 0, "op5": 3, "op6": 0}
    assert space.canonical(one) == space.canonical(other) == base


@pytest.mark.parametrize("name", sorted(SPACES))
@pytest.mark.parametrize("changes", [{}, {"n": (4, 17)}, {"p": (2, 3)}, {"n": [4, 9], "p": 1, "sup": 0}])
def test_starting_choice_is_within_and_feasible(name: str, changes: dict[str, Any]) -> None:
    space = SPACES[name](**changes)
    start = space.starting_choice()
    assert list(start) == list(space.distributions())
    for dimension, distribution in space.distributions().items():
        assert distribution._contains(float(start[dimension]))
    assert isinstance(space.build(start, Shape(size=(16, 16, 16))), nn.Module)


@pytest.mark.parametrize("nodes", [2, 3, 4])
def test_starting_choice_is_feasible_for_any_fixed_number_of_nodes(nodes: int) -> None:
    space = SPACES["segnas7"](nodes=nodes)
    assert len(space.distributions()) == nodes * (nodes - 1) // 2
    space.build(space.starting_choice(), Shape(size=(16, 16, 16)))


def test_describes_in_one_line() -> None:
    assert SPACES["segnas4"]().describe({"n": 14, "p": 3, "sup": 1, "res": 1}) == "n=14 p=3 sup res"
    space = SPACES["segnas11"]()
    choice = {**space.starting_choice(), "n": 14, "sup": 0}
    assert space.describe(choice) == "n=14 p=3 res nodes=3 ops=2,0,2"


def test_segnas7_is_fixed_as_in_table_2() -> None:
    space = SPACES["segnas7"]()
    assert space.describe(space.starting_choice()) == "n=16 p=4 res nodes=3 ops=2,0,2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 3}, "no setting 'width'"),
        ({"n": (9, 9)}, "n: expected a fixed integer or half-open bounds"),
        ({"n": "many"}, "but got 'many'"),
        ({"n": (0, 9)}, "at least 1"),
        ({"sup": (0, 3)}, "0 or 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"ops": (2, 0)}, "needs 3 operations"),
        ({"ops": (2, 0, 0)}, "illegal block"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SPACES["segnas4"](**settings)


def test_block_diagram_has_the_edges_of_the_matrix() -> None:
    space = SPACES["segnas11"]()
    choice = {**space.starting_choice(), "nodes": 3, "op1": 2, "op2": 6, "op3": 5}
    block, _ = space.diagrams(choice, Shape(size=(16, 16, 16)))
    assert [(edge.source, edge.target, edge.label, edge.dashed) for edge in block.edges] == [
        ("1", "2", "Conv(3,1)", False),
        ("1", "3", "skip", True),
        ("2", "3", "Conv(5,2)", False),
    ]


@pytest.mark.parametrize("p", [2, 5])
@pytest.mark.parametrize("sup", [0, 1])
def test_network_diagram_is_a_u(p: int, sup: int) -> None:
    choice = {"n": 8, "p": p, "sup": sup, "res": 1}
    _, diagram = SPACES["segnas4"]().diagrams(choice, Shape(size=(32, 40, 33)))
    names = {node.name for node in diagram.nodes}
    assert len(names) == len(diagram.nodes) == 2 * p + 3
    assert len({(node.column, node.row) for node in diagram.nodes}) == len(diagram.nodes)
    assert all(edge.source in names and edge.target in names for edge in diagram.edges)
    bottom = next(node for node in diagram.nodes if node.name == f"encoder {p}")
    assert (bottom.row, bottom.detail) == (p, f"{8 * 2**p} channels, {32 >> p} x {40 >> p} x {33 >> p}")
    assert sum(edge.label == "concatenation" for edge in diagram.edges) == p
    assert sum(edge.label == "deep supervision" for edge in diagram.edges) == sup * (p - 1)
