"""Diagrams of cells and of their stack, as plain data."""

from __future__ import annotations

from netwright.spaces.base import Diagram, Edge, Node, TaskShape
from netwright.spaces.cells.genotype import (
    AVERAGE,
    IDENTITY,
    INPUTS,
    MAXIMUM,
    SEPARABLE_3,
    SEPARABLE_5,
    Cell,
    outputs_of,
    source_names,
)
from netwright.spaces.cells.network import STEM_FACTOR, Shape

LABELS = {
    IDENTITY: "identity",
    SEPARABLE_3: "sep 3 x 3",
    SEPARABLE_5: "sep 5 x 5",
    AVERAGE: "mean 3 x 3",
    MAXIMUM: "max 3 x 3",
}


def cell_diagram(kind: str, cell: Cell) -> Diagram:
    """The cell's graph, one row per output; the column is the number of nodes before it. Unused nodes form the output.

    Two paths of one node from the same source are one arrow with both names. Identities are dashed.
    """
    names = source_names(len(cell))
    columns = _columns(cell)
    nodes: list[Node] = []
    for row, (name, column) in enumerate(zip(names, columns, strict=True)):
        nodes.append(Node(name, name if name in INPUTS else f"node {name.removeprefix('node')}", column, row))
    nodes.append(Node("output", "output", max(columns) + 1, len(names) // 2, "concatenated"))
    edges: list[Edge] = []
    for target, node in zip(names[len(INPUTS) :], cell, strict=True):
        for source in dict.fromkeys(path.source for path in node):
            operations = [path.operation for path in node if path.source == source]
            label = " + ".join(LABELS[operation] for operation in operations)
            edges.append(Edge(names[source], target, label, dashed=set(operations) == {IDENTITY}))
    edges += [Edge(f"node{number}", "output") for number in outputs_of(cell)]
    return Diagram(f"{kind.capitalize()} cell", tuple(nodes), tuple(edges))


def _columns(cell: Cell) -> list[int]:
    """The longest path to each output of a cell, in nodes."""
    columns = [0] * len(INPUTS)
    for node in cell:
        columns.append(1 + max(columns[path.source] for path in node))
    return columns


def network_diagram(shape: Shape, task: TaskShape) -> Diagram:
    """The stack of cells, one row per resolution. Every cell also gets the output of the cell before the previous."""
    width = shape.channels
    nodes = [
        Node("image", "image", 0, 0, _detail(task.channels, task, 0)),
        Node("stem", "3 x 3 convolution", 1, 0, _detail(STEM_FACTOR * width, task, 0)),
    ]
    edges = [Edge("image", "stem")]
    for level in range(3):
        name, before = f"normal cells {level + 1}", nodes[-1].name
        plural = "s" * (shape.normal_cells != 1)
        title = f"{shape.normal_cells} normal cell{plural}"
        if level:
            reduction = f"reduction cell {level}"
            nodes.append(
                Node(
                    reduction,
                    "reduction cell",
                    2 * level + 1,
                    level,
                    _detail(width * 2**level, task, level),
                )
            )
            edges.append(Edge(before, reduction))
            before = reduction
        nodes.append(Node(name, title, 2 * level + 2, level, _detail(width * 2**level, task, level)))
        edges.append(Edge(before, name))
    last = nodes[-1].name
    if shape.auxiliary:
        nodes.append(Node("auxiliary head", "auxiliary logits", 6, 1, f"{task.classes} classes, in training"))
        edges.append(Edge("reduction cell 2", "auxiliary head", dashed=True))
    nodes.append(Node("output", "logits", 7, 2, f"{task.classes} classes"))
    edges.append(Edge(last, "output", "mean"))
    return Diagram("Network", tuple(nodes), tuple(edges))


def _detail(channels: int, task: TaskShape, level: int) -> str:
    size = " x ".join(str(-(-length // 2**level)) for length in task.size)
    return f"{channels} channel{'s' * (channels != 1)}, {size}"
