"""Diagrams of a densely connected block and network, as plain data."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.spaces.base import Diagram, Edge, Node, TaskShape
from netwright.spaces.dense.network import Layer, pooled_length


def block_diagram(layers: int, *, throughout: bool = False) -> Diagram:
    """A block's layers from left to right. Each layer gets the block's input and the outputs of all earlier layers.

    ``throughout``: the block's input is the image and all layers of earlier blocks.
    """
    names = ["all before" if throughout else "input", *(f"layer {number}" for number in range(1, layers + 1))]
    nodes = tuple(Node(name, name, column, 0) for column, name in enumerate(names))
    edges = tuple(
        Edge(names[source], names[target], dashed=source + 1 < target)
        for target in range(1, len(names))
        for source in range(target)
    )
    return Diagram("Block", nodes, edges)


def network_diagram(
    blocks: Sequence[Sequence[Layer]], poolings: Sequence[str], task: TaskShape, *, throughout: bool = False
) -> Diagram:
    """The network as a U, one row per resolution: down along the encoder and up along the decoder.

    ``throughout``: every block gets the image and the layers of all earlier blocks; edges between blocks that are not
    neighbours are dashed.

    Args:
        blocks: their layers.
        poolings: after each block of the encoder.
        task: the input and output of the network.
        throughout: whether each block gets the image and the layers of all earlier blocks.
    """
    levels = len(poolings)
    nodes = [
        Node("image", "image", 0, 0, _detail(f"{task.channels} channel{'s' * (task.channels != 1)}", task, 0))
    ]
    edges = [Edge("image", "block 1")]
    for index, layers in enumerate(blocks):
        level = min(index, len(blocks) - 1 - index)
        name = f"block {index + 1}"
        filters = "-".join(str(layer.filters) for layer in layers)
        nodes.append(Node(name, name, index + 1, level, _detail(f"{filters} filters", task, level)))
        if index + 1 < len(blocks):
            label = f"{poolings[index]} pooling" if index < levels else "upsampling"
            edges.append(Edge(name, f"block {index + 2}", label))
        if throughout:
            earlier = ["image", *(f"block {number}" for number in range(1, index))] if index else []
            edges += [Edge(one, name, dashed=True) for one in earlier]
        elif index < levels:
            edges.append(Edge(name, f"block {len(blocks) - index}", "concatenation", dashed=True))
    nodes.append(Node("output", "logits", len(blocks) + 1, 0, _detail(f"{task.classes} classes", task, 0)))
    edges.append(Edge(f"block {len(blocks)}", "output"))
    return Diagram("Network", tuple(nodes), tuple(edges))


def _detail(what: str, task: TaskShape, level: int) -> str:
    return f"{what}, " + " x ".join(str(pooled_length(length, level)) for length in task.size)
