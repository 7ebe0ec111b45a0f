"""The block's matrix, its legality and its smallest form, against networkless and numerical references."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.segnas.block import Block, illegality, matrix_genes, operation_matrix, simplify
from netwright.spaces.segnas.operations import CONVOLUTIONS, make_operation, operation_name

genes_of_four = st.lists(st.integers(0, 6), min_size=6, max_size=6)


def reachable_both_ways(matrix: tuple[tuple[int, ...], ...]) -> bool:
    """Whether every node lies on a path from the first to the last, by powers of the adjacency matrix."""
    adjacency = (np.array(matrix) != 0).astype(int)
    paths = np.linalg.matrix_power(np.eye(len(matrix), dtype=int) + adjacency, len(matrix))
    return bool(np.all(paths[0] > 0) and np.all(paths[:, -1] > 0))


def test_fills_the_matrix_column_by_column() -> None:
    assert operation_matrix(4, [1, 2, 3, 4, 5, 6]) == ((0, 1, 2, 4), (0, 0, 3, 5), (0, 0, 0, 6), (0, 0, 0, 0))


def test_three_nodes_use_the_leading_matrix() -> None:
    whole = operation_matrix(4, [1, 2, 3, 4, 5, 6])
    assert operation_matrix(3, [1, 2, 3, 4, 5, 6]) == tuple(row[:3] for row in whole[:3])


@given(genes_of_four)
def test_genes_and_matrix_are_inverse(genes: list[int]) -> None:
    assert matrix_genes(operation_matrix(4, genes)) == tuple(genes)


def test_refuses_too_few_and_unknown_operations() -> None:
    with pytest.raises(ValueError, match="needs 3 operations, but got 2"):
        operation_matrix(3, [2, 0])
    with pytest.raises(ValueError, match="from 0 to 6, but got 7"):
        operation_matrix(2, [7])


@pytest.mark.parametrize("nodes", [2, 3, 4])
def test_legality_is_reachability(nodes: int) -> None:
    for genes in product([0, 6], repeat=nodes * (nodes - 1) // 2):
        matrix = operation_matrix(nodes, genes)
        assert (illegality(matrix) is None) == reachable_both_ways(matrix), genes


@given(genes_of_four)
def test_legality_of_any_operations_is_reachability(genes: list[int]) -> None:
    matrix = operation_matrix(4, genes)
    assert (illegality(matrix) is None) == reachable_both_ways(matrix)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        # As the two illegal blocks of Fig. 2, nodes numbered from 0: (c) column 2 is empty, (d) row 1 is empty.
        (((0, 2, 0, 0), (0, 0, 0, 2), (0, 0, 0, 2), (0, 0, 0, 0)), "node 2 of 0 to 3 is a source"),
        (((0, 2, 2, 0), (0, 0, 0, 0), (0, 0, 0, 2), (0, 0, 0, 0)), "node 1 of 0 to 3 is a sink"),
        (((0, 0), (0, 0)), "node 0 of 0 to 1 is a sink"),
    ],
)
def test_names_the_node_and_the_reason(matrix: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(InfeasibleArchitecture, match=message):
        Block(matrix, 1, 2)


def test_counts_of_legal_blocks_match_the_closed_form() -> None:
    # Four nodes: op(0,1) and op(2,3) are not none, op(0,3) is free, and of the other three either op(1,2) is not
    # none, or op(0,2) and op(1,3) are not: 6 * 6 * 7 * (6 * 7 * 7 + 6 * 6).
    weighted = sum(
        6 ** sum(genes)
        for genes in product([0, 1], repeat=6)
        if illegality(operation_matrix(4, genes)) is None
    )
    assert weighted == 36 * 7 * (6 * 7 * 7 + 6 * 6)


@pytest.mark.parametrize("operation", [1, 2, 3, 4, 5])
def test_convolutions_match_torch_and_keep_the_size(operation: int) -> None:
    kernel, dilation = CONVOLUTIONS[operation]
    layer = make_operation(operation, 2, 3).eval()
    images = torch.randn(1, 2, 7, 8, 9)
    convolution = layer[0]
    reference = torch.relu(
        torch.nn.functional.conv3d(
            images, convolution.weight, padding=dilation * (kernel // 2), dilation=dilation
        )
        / (1 + 1e-5) ** 0.5
    )
    assert convolution.weight.shape[2:] == (kernel,) * 3
    assert layer(images).shape == (1, 3, 7, 8, 9)
    torch.testing.assert_close(layer(images), reference)
    assert operation_name(operation) == f"Conv({kernel},{dilation})"


def test_skip_is_the_identity_or_a_projection() -> None:
    assert isinstance(make_operation(6, 4, 4), nn.Identity)
    projection = make_operation(6, 2, 4)
    images = torch.randn(1, 2, 3, 3, 3)
    expected = torch.einsum("oi,bixyz->boxyz", projection.weight[:, :, 0, 0, 0], images)
    torch.testing.assert_close(projection(images), expected)


def test_2_0_2_is_two_cascaded_convolutions() -> None:
    block = Block(operation_matrix(3, [2, 0, 2]), 2, 5)
    layers: list[nn.Module] = []
    for channels in (2, 5):
        layers += [nn.Conv3d(channels, 5, 3, padding=1, bias=False), nn.BatchNorm3d(5), nn.ReLU()]
    reference = nn.Sequential(*layers)
    reference.load_state_dict(
        dict(
            zip(reference.state_dict(), (value.clone() for value in block.state_dict().values()), strict=True)
        )
    )
    images = torch.randn(2, 2, 6, 5, 4)
    torch.testing.assert_close(block(images), reference(images))


def test_sums_at_nodes() -> None:
    # Skips alone: node 1 = Px, node 2 = Qx + Px, node 3 = Rx + Px + (Qx + Px).
    block = Block(operation_matrix(4, [6] * 6), 2, 3)
    images = torch.randn(1, 2, 2, 2, 2)
    p, q, r = (block.operations[edge](images) for edge in ("0_1", "0_2", "0_3"))
    torch.testing.assert_close(block(images), r + p + q + p)


def outputs(
    matrix: tuple[tuple[int, ...], ...], weights: dict[str, torch.Tensor], images: torch.Tensor
) -> torch.Tensor:
    """The block computed edge by edge with one scalar weight for every (operation, from input?) kind of edge."""
    values = [images]
    for target in range(1, len(matrix)):
        total = torch.zeros_like(images)
        for source in range(target):
            operation = matrix[source][target]
            if operation == 0:
                continue
            if operation == 6 and source > 0:
                total = total + values[source]
            else:
                total = total + torch.tanh(weights[f"{operation}"] * values[source] + (source == 0))
        values.append(total)
    return values[-1]


@settings(max_examples=300)
@given(genes_of_four)
def test_the_smallest_form_computes_the_same(genes: list[int]) -> None:
    """With a nonlinear function in the place of each operation, and the identity for skips after the input."""
    matrix = operation_matrix(4, genes)
    small = simplify(matrix)
    if illegality(matrix) is not None:
        assert small == matrix
        return
    assert illegality(small) is None
    assert simplify(small) == small
    weights = {str(operation): torch.tensor(0.3 * operation + 0.1) for operation in range(1, 7)}
    images = torch.linspace(-1, 1, 16, dtype=torch.float64)
    torch.testing.assert_close(outputs(small, weights, images), outputs(matrix, weights, images))


@given(genes_of_four)
def test_swapping_unconnected_middle_nodes_has_one_form(genes: list[int]) -> None:
    first, second, _, direct, left, right = genes
    one = operation_matrix(4, [first, second, 0, direct, left, right])
    other = operation_matrix(4, [second, first, 0, direct, right, left])
    assert illegality(one) is not None or simplify(one) == simplify(other)


def test_a_trailing_skip_needs_no_node() -> None:
    assert simplify(operation_matrix(4, [2, 0, 3, 0, 0, 6])) == operation_matrix(3, [2, 0, 3])
    # Both edges 1 -> 3 and 2 -> 3 go on, so that the two nodes cannot be one.
    assert len(simplify(operation_matrix(4, [2, 0, 6, 0, 3, 4]))) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # f(x) + g(x), as the terms of a sum have no order.
        ([2, 3, 6], [3, 2, 6]),
        # f(y) + g(y) of y = h(x): node 2 a copy of y, or one of the two terms.
        ([1, 0, 6, 4, 2, 3], [1, 0, 3, 4, 2, 6]),
        # y + f(x) + g(y), g(y) added at either end of the skip 2 -> 3.
        ([1, 2, 3, 4, 0, 6], [1, 2, 0, 4, 3, 6]),
    ],
)
def test_one_network_written_in_two_ways_has_one_form(one: list[int], other: list[int]) -> None:
    nodes = 3 if len(one) == 3 else 4
    assert simplify(operation_matrix(nodes, one)) == simplify(operation_matrix(nodes, other))
