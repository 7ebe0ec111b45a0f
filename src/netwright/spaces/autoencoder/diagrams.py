"""A diagram of an autoencoder, as plain data."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.spaces.autoencoder.chain import Chain, map_sizes
from netwright.spaces.base import Diagram, Edge, Node, TaskShape

ENCODER_COLUMN, DECODER_COLUMN = 0, 1


def network_diagram(chain: Chain, task: TaskShape) -> Diagram:
    """The encoder downwards and the decoder upwards, each layer next to its mirror. Skip connections are dashed."""
    sizes = map_sizes(chain, task.size)
    nodes = [Node("image", "image", ENCODER_COLUMN, 0, _detail(task.channels, sizes[0]))]
    edges: list[Edge] = []
    above = "image"
    for row, layer in enumerate(chain, start=1):
        name = f"encoder {row}"
        detail = _detail(layer.channels, sizes[row])
        nodes.append(Node(name, _label(layer.kernel, "down" * layer.down), ENCODER_COLUMN, row, detail))
        edges.append(Edge(above, name))
        above = name
    below = above
    for row in range(len(chain), 0, -1):
        layer, name = chain[row - 1], f"decoder {row}"
        detail = _detail(layer.channels, sizes[row - 1])
        nodes.append(Node(name, _label(layer.kernel, "up" * layer.down), DECODER_COLUMN, row, detail))
        both = row == len(chain) and not layer.down  # this edge is a step of the chain and a skip connection
        edges.append(Edge(below, name, "input and skip" if both else ""))
        if not layer.down and not both:
            edges.append(Edge(f"encoder {row}", name, dashed=True))
        below = name
    nodes.append(Node("output", "3 x 3, output", DECODER_COLUMN, 0, _detail(task.classes, sizes[0])))
    edges.append(Edge(below, "output"))
    return Diagram("Network", tuple(nodes), tuple(edges))


def _label(kernel: int, direction: str) -> str:
    return f"{kernel} x {kernel}{', ' * bool(direction)}{direction}"


def _detail(channels: int, size: Sequence[int]) -> str:
    return f"{channels} channel{'s' * (channels != 1)}, {' x '.join(map(str, size))}"
