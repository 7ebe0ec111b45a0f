"""Diagrams of a SegNAS3D block and network, as plain data."""

from __future__ import annotations

from netwright.spaces.base import Diagram, Edge, Node, TaskShape
from netwright.spaces.segnas.block import Matrix, sources_of
from netwright.spaces.segnas.network import Architecture
from netwright.spaces.segnas.operations import SKIP, operation_name


def block_diagram(matrix: Matrix) -> Diagram:
    """The block's graph, nodes from left to right and numbered from 0 as in the paper's Fig. 2."""
    last = len(matrix) - 1
    details = {0: "input", last: "output"}
    nodes = tuple(Node(str(node), str(node), node, 0, details.get(node, "")) for node in range(last + 1))
    edges = tuple(
        Edge(
            str(source),
            str(target),
            operation_name(matrix[source][target]),
            dashed=matrix[source][target] == SKIP,
        )
        for target in range(1, last + 1)
        for source in sources_of(matrix, target)
    )
    return Diagram("Block", nodes, edges)


def network_diagram(architecture: Architecture, task: TaskShape) -> Diagram:
    """The network as a U, one row per resolution: down along the encoder and up along the decoder."""
    p = architecture.p
    nodes = [Node("input", "image", 0, 0, _detail(task.channels, task.size, 0))]
    edges = [Edge("input", "encoder 0")]
    for level in range(p + 1):
        detail = _detail(architecture.n * 2**level, task.size, level)
        nodes.append(Node(f"encoder {level}", "MegaBlock", level + 1, level, detail))
        if level > 0:
            edges.append(Edge(f"encoder {level - 1}", f"encoder {level}", "max pooling"))
    below = f"encoder {p}"
    for level in range(p - 1, -1, -1):
        name = f"decoder {level}"
        detail = _detail(architecture.n * 2**level, task.size, level)
        nodes.append(Node(name, "MegaBlock", 2 * p + 1 - level, level, detail))
        edges.append(Edge(below, name, "upsampling"))
        edges.append(Edge(f"encoder {level}", name, "concatenation", dashed=True))
        below = name
    nodes.append(Node("output", "logits", 2 * p + 2, 0, _detail(task.classes, task.size, 0)))
    edges.append(Edge("decoder 0", "output"))
    if architecture.sup:
        edges += [Edge(f"decoder {level}", "output", "deep supervision") for level in range(1, p)]
    return Diagram("Network", tuple(nodes), tuple(edges))


def _detail(channels: int, size: tuple[int, ...], level: int) -> str:
    return f"{channels} channel{'s' * (channels != 1)}, " + " x ".join(
        str(length >> level) for length in size
    )
