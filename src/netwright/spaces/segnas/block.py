"""The building block of SegNAS3D as a directed acyclic graph (Wong and Moradi 2019, Section 2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.segnas.operations import NONE, OPERATIONS, SKIP, make_operation

# matrix[i][j] is the operation on the edge from node i to node j; zero on and below the diagonal.
Matrix = tuple[tuple[int, ...], ...]


def gene_count(nodes: int) -> int:
    """Number of genes that fill the upper triangle of a ``nodes`` x ``nodes`` matrix.

    >>> gene_count(4)
    6
    """
    return nodes * (nodes - 1) // 2


def operation_matrix(nodes: int, genes: Sequence[int]) -> Matrix:
    """The upper triangular matrix filled column by column; further genes are not used.

    Because it is filled column by column, the first three genes form the leading 3 x 3 matrix for any number of nodes.
    So {2, 0, 2} with three nodes is two cascaded Conv(3,1), as Table 2 says of SegNAS4.

    Raises:
        ValueError: there are too few genes, or one is not an operation number of Table 1.
    """
    if len(genes) < gene_count(nodes):
        raise ValueError(
            f"A block of {nodes} nodes needs {gene_count(nodes)} operations, but got {len(genes)}."
        )
    matrix = [[NONE] * nodes for _ in range(nodes)]
    remaining = iter(genes)
    for target in range(1, nodes):
        for source in range(target):
            operation = int(next(remaining))
            if not 0 <= operation < OPERATIONS:
                raise ValueError(f"An operation is a number from 0 to {OPERATIONS - 1}, but got {operation}.")
            matrix[source][target] = operation
    return tuple(tuple(row) for row in matrix)


def matrix_genes(matrix: Matrix) -> tuple[int, ...]:
    """The inverse of `operation_matrix`: the upper triangle, column by column."""
    return tuple(matrix[source][target] for target in range(1, len(matrix)) for source in range(target))


def sources_of(matrix: Matrix, node: int) -> list[int]:
    """Nodes with an edge to ``node``."""
    return [source for source in range(node) if matrix[source][node] != NONE]


def targets_of(matrix: Matrix, node: int) -> list[int]:
    """Nodes with an edge from ``node``."""
    return [target for target in range(node + 1, len(matrix)) if matrix[node][target] != NONE]


def illegality(matrix: Matrix) -> str | None:
    """Why the block cannot be built, or None if it can.

    Only the first node may be a source (a column of zeros) and only the last a sink (a row of zeros). The
    paper speaks of intermediate nodes. A last node that is a source, or a first node that is a sink, cuts the
    block in two just as well and is illegal too (without an illegal intermediate node this is possible only in a block
    of two nodes). Nodes are numbered from 0 in the message, as in the paper's Fig. 2.
    """
    last = len(matrix) - 1
    for node in range(last + 1):
        if node > 0 and not sources_of(matrix, node):
            return f"node {node} of 0 to {last} is a source: no operation leads to it"
        if node < last and not targets_of(matrix, node):
            return f"node {node} of 0 to {last} is a sink: no operation leads away from it"
    return None


def simplify(matrix: Matrix) -> Matrix:
    """The smallest matrix of the same network. Blocks that are only written differently have the same one.

    A skip between nodes after node 0 is an identity, because they have the same channels, and a sum has no order. So
    operations can move to the other end of such a skip, which can leave a node without use, and nodes that are
    not connected can be swapped. Of all matrices that these changes reach, the ones with the fewest nodes are taken,
    and among them the first in the order of its genes. Illegal blocks are returned unchanged.
    """
    if illegality(matrix) is not None:
        return matrix
    reached, new = {matrix}, [matrix]
    while new:
        step = set(_rewritten(new.pop())) - reached
        reached |= step
        new += step
    return min(reached, key=lambda one: (len(one), matrix_genes(one)))


def _rewritten(matrix: Matrix) -> Iterator[Matrix]:
    """Matrices of the same network that are one change away."""
    last = len(matrix) - 1
    for source in range(1, last):
        for target in range(source + 1, last + 1):
            if matrix[source][target] != SKIP:
                continue
            # All that the source sums up goes only to the target, so any part of it can be summed up there.
            if targets_of(matrix, source) == [target]:
                for node in range(source):
                    yield _swapped(matrix, (node, source), (node, target))
            # The target has the same value as the source, so an edge can start at either of them.
            if sources_of(matrix, target) == [source]:
                for node in range(target + 1, last + 1):
                    yield _swapped(matrix, (source, node), (target, node))
    for node in range(1, last):
        above, below = sources_of(matrix, node), targets_of(matrix, node)
        skips = SKIP in (matrix[above[0]][node], matrix[node][below[0]])
        # An identity before the only operation can also be after it.
        if len(above) == len(below) == 1 and above != [0] and skips:
            yield _swapped(matrix, (above[0], node), (node, below[0]))
        if node + 1 < last and matrix[node][node + 1] == NONE:
            order = list(range(last + 1))
            order[node : node + 2] = node + 1, node
            yield _arranged(matrix, order)


def _swapped(matrix: Matrix, one: tuple[int, int], other: tuple[int, int]) -> Matrix:
    """The matrix with two operations swapped, without a node that is left unused."""
    cells = [list(row) for row in matrix]
    cells[one[0]][one[1]], cells[other[0]][other[1]] = matrix[other[0]][other[1]], matrix[one[0]][one[1]]
    swapped = tuple(map(tuple, cells))
    last = len(matrix) - 1
    middle = [node for node in range(1, last) if sources_of(swapped, node) and targets_of(swapped, node)]
    return _arranged(swapped, [0, *middle, last])


def _arranged(matrix: Matrix, order: Sequence[int]) -> Matrix:
    return tuple(tuple(matrix[row][column] for column in order) for row in order)


class Block(nn.Module):
    """A block: operations on the edges of a graph, summed at its nodes (Section 2.1, Fig. 2).

    The first node holds the input. All other nodes have ``out_channels`` channels. The paper only says that
    "the numbers of feature channels [are] systematically assigned" for each block, and sums need equal
    numbers, so the operations that leave the first node change the number. A skip among them is projected if
    the numbers differ. A sum is not followed by another activation, because the paper names none.

    Args:
        matrix: from `operation_matrix`.
        in_channels: channels of the input.
        out_channels: channels of all other nodes.

    Raises:
        InfeasibleArchitecture: a node other than the first is a source, or other than the last a sink.
    """

    def __init__(self, matrix: Matrix, in_channels: int, out_channels: int) -> None:
        super().__init__()
        reason = illegality(matrix)
        if reason is not None:
            raise InfeasibleArchitecture(f"Illegal block: {reason}.")
        self.matrix = matrix
        self.operations = nn.ModuleDict()
        for target in range(1, len(matrix)):
            for source in sources_of(matrix, target):
                channels = in_channels if source == 0 else out_channels
                self.operations[f"{source}_{target}"] = make_operation(
                    matrix[source][target], channels, out_channels
                )

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, in_channels, *spatial) to (batch, out_channels, *spatial)."""
        nodes = [features]
        for target in range(1, len(self.matrix)):
            incoming = [
                self.operations[f"{source}_{target}"](nodes[source])
                for source in sources_of(self.matrix, target)
            ]
            total = incoming[0]
            for term in incoming[1:]:
                total = total + term
            nodes.append(total)
        return nodes[-1]
