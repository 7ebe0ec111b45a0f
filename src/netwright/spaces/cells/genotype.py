"""What a choice defines: two cells. Each has some nodes, and a node has two paths from earlier outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any, NamedTuple

IDENTITY, SEPARABLE_3, SEPARABLE_5 = "identity", "separable3", "separable5"
AVERAGE, MAXIMUM = "average3", "maximum3"
OPERATIONS = (IDENTITY, SEPARABLE_3, SEPARABLE_5, AVERAGE, MAXIMUM)
"""Identity, 3 x 3 and 5 x 5 separable convolution, 3 x 3 average and max pooling (Section 4.1)."""

INPUTS = ("cell-2", "cell-1")
"""The outputs of the cell before the previous one, and of the previous one."""
KINDS = ("normal", "reduction")


class Path(NamedTuple):
    """``source``: index among a cell's outputs (its two inputs, then its nodes); ``operation``: its name."""

    source: int
    operation: str


Node = tuple[Path, Path]
Cell = tuple[Node, ...]
"""The nodes in order. The paths of each are sorted, because their sum has no order."""


def source_names(nodes: int) -> tuple[str, ...]:
    """Names of the inputs and nodes.

    >>> source_names(2)
    ('cell-2', 'cell-1', 'node1', 'node2')
    """
    return (*INPUTS, *(f"node{number}" for number in range(1, nodes + 1)))


def dimension_names(kind: str, number: int) -> tuple[str, ...]:
    """The dimensions of node ``number``, counted from 1: its two sources, then its two operations."""
    return tuple(f"{kind}.node{number}.{gene}{slot}" for gene in ("source", "operation") for slot in (1, 2))


def cell_of(choice: Mapping[str, Any], kind: str, nodes: int) -> Cell:
    """The normal or reduction cell of a choice.

    Args:
        choice: of the space.
        kind: "normal" or "reduction".
        nodes: of a cell.
    """
    names = source_names(nodes)
    cell: list[Node] = []
    for number in range(1, nodes + 1):
        source1, source2, operation1, operation2 = (choice[name] for name in dimension_names(kind, number))
        paths = Path(names.index(source1), operation1), Path(names.index(source2), operation2)
        cell.append(_sorted_node(paths))
    return tuple(cell)


def genes_of(cell: Cell, kind: str) -> Iterator[tuple[str, str]]:
    """The dimensions of a cell with their values, in order."""
    names = source_names(len(cell))
    for number, (first, second) in enumerate(cell, start=1):
        values = names[first.source], names[second.source], first.operation, second.operation
        yield from zip(dimension_names(kind, number), values, strict=True)


def outputs_of(cell: Cell) -> tuple[int, ...]:
    """The nodes, counted from 1, that no other node takes. Together they are the cell's output."""
    taken = {path.source for node in cell for path in node}
    return tuple(n for n in range(1, len(cell) + 1) if n + 1 not in taken)


def smallest_form(cell: Cell) -> Cell:
    """The first, in sorted order, of the cells that differ from this one only in the numbers of their nodes."""
    return min((form for form in _renumbered(cell)), key=_sort_key)


def _renumbered(cell: Cell) -> Iterator[Cell]:
    """The cell in every order of its nodes in which each comes after those that it takes."""
    for order in permutations(range(len(cell))):
        new_index = {0: 0, 1: 1} | {node + 2: new + 2 for new, node in enumerate(order)}
        if all(new_index[path.source] < new + 2 for new, node in enumerate(order) for path in cell[node]):
            yield tuple(
                _sorted_node(tuple(Path(new_index[path.source], path.operation) for path in cell[node]))  # type: ignore[arg-type]
                for node in order
            )


def _sorted_node(paths: Node) -> Node:
    first, second = sorted(paths, key=_path_key)
    return first, second


def _sort_key(cell: Cell) -> tuple[tuple[int, int], ...]:
    return tuple(_path_key(path) for node in cell for path in node)


def _path_key(path: Path) -> tuple[int, int]:
    return path.source, OPERATIONS.index(path.operation)
