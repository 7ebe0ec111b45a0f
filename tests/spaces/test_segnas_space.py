"""Dimensions, canonical forms, words and drawings of the SegNAS3D spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
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


SEGNAS = ("segnas11", "segnas4", "segnas7")
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
    # Two nodes: six operations. Three: 6 * 7 * 6 legal ones. With a skip from node 1 to node 2 the output is the sum
    # of op(0,1) and op(0,2): where the latter is none that is a block of two nodes again (6), else the two can be
    # swapped (of 6 * 6 there are 6 * 5 / 2 twice).
    assert SPACES["segnas7"](nodes=2).count_blocks() == 6
    assert SPACES["segnas7"](nodes=(2, 4)).count_blocks() == 6 + 6 * 7 * 6 - 6 - 15
    assert SPACES["segnas4"]().count_blocks() == 1


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number as a random one (the finaliser of SplitMix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def fingerprints(nodes: int) -> NDArray[np.uint64]:
    """For each legal block a number that isomorphic networks share, and others practically never.

    The network as a graph of its layers, each with its operation and the sum of layers that it is given; skips
    after node 0 are no layers. Layers are coloured by their neighbours' colours until all are told apart.
    """
    edges = [(source, target) for target in range(1, nodes) for source in range(target)]
    genes = np.stack(np.meshgrid(*[np.arange(7)] * len(edges), indexing="ij"), axis=-1).reshape(
        -1, len(edges)
    )
    joined = np.tile(np.eye(nodes, dtype=int), (len(genes), 1, 1))
    for index, (source, target) in enumerate(edges):
        joined[:, source, target] = genes[:, index] != 0
    paths = np.linalg.matrix_power(joined, nodes)
    genes = genes[np.all((paths[:, 0] > 0) & (paths[:, :, -1] > 0), axis=1)]
    # how often the result of each layer, and (last) the input, is in the sum at each node
    sums = np.zeros((len(genes), nodes, len(edges) + 1), dtype=np.uint64)
    sums[:, 0, -1] = 1
    layers = np.zeros(genes.shape, dtype=np.uint64)
    for index, (source, target) in enumerate(edges):
        skip = (genes[:, index] == 6) & (source > 0)
        layers[:, index] = (genes[:, index] > 0) & ~skip
        sums[:, target] += sums[:, source] * skip[:, None]
        sums[:, target, index] += layers[:, index]
    given_to = np.stack([sums[:, source] for source, _ in edges], axis=1) * layers[:, :, None]
    colours = mixed(np.pad(genes, ((0, 0), (0, 1)), constant_values=7).astype(np.uint64))
    for _ in range(4):
        below = (given_to * mixed(colours[:, :-1])[:, :, None]).sum(axis=1) + sums[:, -1] * np.uint64(99)
        above = (given_to * mixed(colours + np.uint64(1))[:, None]).sum(axis=2)
        colours = mixed(colours + np.uint64(3) * below)
        colours[:, :-1] = mixed(colours[:, :-1] + np.uint64(5) * above)
    result: NDArray[np.uint64] = (colours[:, :-1] * layers).sum(axis=1) + colours[:, -1]
    return result


def test_counts_all_blocks() -> None:
    counted = np.unique(np.concatenate([fingerprints(nodes) for nodes in (2, 3, 4)])).size
    assert SPACES["segnas11"]().count_blocks() == counted == 67_451


VARIANTS: list[dict[str, Any]] = [
    {},
    {"nodes": 2},
    {"nodes": 3},
    {"nodes": 4, "p": 1},
    {"nodes": (3, 5), "sup": 1},
    {"nodes": (2, 5), "ops": (2, 0, 6, 0, 0, 6)},
    {"nodes": 4, "ops": (2, 0, 6, 3, 1, 6)},
]


@pytest.mark.parametrize("name", SEGNAS)
@settings(max_examples=60)
@given(data=st.data(), variant=st.sampled_from(VARIANTS))
def test_one_canonical_form_means_one_network(
    name: str, data: st.DataObject, variant: dict[str, Any]
) -> None:
    if name == "segnas4" and "ops" not in variant:
        variant = {key: value for key, value in variant.items() if key != "nodes"}
    space = SPACES[name](**{"n": (2, 4), "p": (1, 3), **variant})
    choice = data.draw(choices(space))
    canonical = space.canonical(choice)
    assert space.canonical(canonical) == canonical
    assert set(canonical) <= {*space.distributions(), "nodes"}
    assert all(type(value) is int for value in canonical.values())
    assert space.describe(canonical) == space.describe(choice)
    try:
        network = space.build(choice, Shape())
    except InfeasibleArchitecture as error:
        with pytest.raises(InfeasibleArchitecture, match=str(error).split(".")[0]):
            space.build(canonical, Shape())
        return
    same = space.build(canonical, Shape())
    assert shapes(same) == shapes(network)
    same.load_state_dict(network.state_dict())
    images = torch.randn(1, 1, *Shape().size)
    with torch.no_grad():
        torch.testing.assert_close(same.eval()(images), network.eval()(images))


def test_a_fixed_number_of_nodes_can_turn_out_smaller() -> None:
    space = SPACES["segnas7"](nodes=3)
    canonical = space.canonical({"op1": 2, "op2": 0, "op3": 6})
    assert canonical == {"nodes": 2, "op1": 2}
    assert space.describe(canonical) == space.describe({"op1": 2, "op2": 0, "op3": 6})


def test_deep_supervision_of_one_level_is_none() -> None:
    space = SPACES["segnas4"](n=2, p=(1, 3))
    deep, plain = ({"p": 1, "sup": sup, "res": 0} for sup in (1, 0))
    assert space.canonical(deep) == space.canonical(plain) == plain
    assert space.canonical({**deep, "p": 2})["sup"] == 1


def test_nodes_beyond_fixed_operations_of_use_are_one_network() -> None:
    space = SPACES["segnas4"](nodes=(2, 5), ops=(2, 0, 6, 0, 0, 6))
    rest = {"n": 9, "p": 2, "sup": 0, "res": 0}
    assert all(space.canonical({**rest, "nodes": nodes})["nodes"] == 2 for nodes in (2, 3, 4))


def test_unused_operations_are_dropped() -> None:
    space = SPACES["segnas11"]()
    base = {"n": 26, "p": 3, "sup": 0, "res": 1, "nodes": 3, "op1": 2, "op2": 5, "op3": 1}
    one = {**base, "op4": 6, "op5": 0, "op6": 2}
    other = {**base, "op4": 0, "op5": 3, "op6": 0}
    assert space.canonical(one) == space.canonical(other) == base


@pytest.mark.parametrize("name", SEGNAS)
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
        ("0", "1", "Conv(3,1)", False),
        ("0", "2", "skip", True),
        ("1", "2", "Conv(5,2)", False),
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
