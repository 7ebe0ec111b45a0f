"""A diagram of a network's layers, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log2

from torch import Tensor

from netwright.spaces.base import Diagram, Edge, Node, TaskShape
from netwright.spaces.layerwise.builder import Builder
from netwright.spaces.layerwise.graph import INPUT, OUTPUT, Layer, LayerNetwork, layer_name

ROWS = 8  # the most rows of a column of consecutive layers
BRANCHES = 3  # with this many parallel layers a network is drawn by depth

Positions = dict[str, tuple[int, int]]


def layer_diagram(
    network: LayerNetwork, values: Mapping[str, Mapping[str, int]], builder: Builder, task: TaskShape
) -> Diagram:
    """The tunable layers and their edges, from left to right.

    A network that goes down in resolution and up again is drawn as a U: one column for each stretch of layers at
    the same resolution, coarser ones lower. Other networks have one column per stretch, split into parts of at most
    eight layers. If three or more layers are parallel, as in inception modules, a column holds all layers at the same
    distance from the input. Edges that are not on the longest path are dashed.

    Args:
        network: that was read.
        values: of each layer.
        builder: that has built the network.
        task: of the network.
    """
    shapes = _shapes(network, builder)
    levels = {name: _level(task.size, shape) for name, shape in shapes.items()}
    edges = network.connections([layer.name for layer in network.layers])
    depths = _depths(edges, [*levels, OUTPUT])
    logits = tuple(builder.values[builder.outputs[network.evaluation]].shape)
    positions = _positions(levels, depths, dense=len(logits) > 2)
    last = max(column for column, _ in positions.values()) + 1
    nodes = [Node(INPUT, "image", 0, 0, _size(task.channels, task.size))]
    for layer in network.layers:
        column, row = positions[layer.name]
        nodes.append(Node(layer.name, layer.name, column, row, _detail(layer, values[layer.name], shapes)))
    nodes.append(Node(OUTPUT, "logits", last, 0, _size(logits[1], logits[2:])))
    main = {target: max((s for s, t in edges if t == target), key=lambda s: depths[s]) for _, target in edges}
    drawn = tuple(Edge(source, target, dashed=main[target] != source) for source, target in edges)
    return Diagram(network.title, tuple(nodes), drawn)


def _shapes(network: LayerNetwork, builder: Builder) -> dict[str, tuple[int, ...]]:
    """Output shapes of the tunable layers at their first use, in order."""
    names = {layer.name for layer in network.layers}
    shapes: dict[str, tuple[int, ...]] = {}
    for step in network.steps:
        name = layer_name(step, network.modules)
        value = builder.values[step.name]
        if name in names and isinstance(value, Tensor):
            shapes.setdefault(name, tuple(value.shape))
    return shapes


def _depths(edges: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, int]:
    """The longest path from the input to each layer, in layers."""
    depths = {INPUT: 0}
    for name in names:
        depths[name] = 1 + max((depths[source] for source, target in edges if target == name), default=0)
    return depths


def _positions(levels: Mapping[str, int], depths: Mapping[str, int], *, dense: bool) -> Positions:
    """Column and row of each layer. ``dense``: whether the network gives logits for each voxel."""
    stretches: list[list[str]] = []
    last: int | None = None
    for name, level in levels.items():
        if level != last:
            stretches.append([])
        stretches[-1].append(name)
        last = level
    course = [levels[stretch[0]] for stretch in stretches]
    if dense and any(later < earlier for earlier, later in pairwise(course)):
        return _as_u(stretches, course)
    side_by_side = Counter(depths[name] for name in levels)
    if max(side_by_side.values()) >= BRANCHES:
        rows: Counter[int] = Counter()
        positions: Positions = {}
        for name in levels:
            positions[name] = (depths[name], rows[depths[name]])
            rows[depths[name]] += 1
        return positions
    parts = [part for stretch in stretches for part in _in_parts(stretch)]
    return {name: (column, row) for column, part in enumerate(parts, 1) for row, name in enumerate(part)}


def _as_u(stretches: Sequence[Sequence[str]], course: Sequence[int]) -> Positions:
    parts = [(level, part) for level, s in zip(course, stretches, strict=True) for part in _in_parts(s)]
    heights = {level: max(len(part) for own, part in parts if own == level) for level in sorted(set(course))}
    tops = {level: sum(height for upper, height in heights.items() if upper < level) for level in heights}
    return {
        name: (column, tops[level] + row)
        for column, (level, part) in enumerate(parts, start=1)
        for row, name in enumerate(part)
    }


def _in_parts(stretch: Sequence[str]) -> list[Sequence[str]]:
    count = -(-len(stretch) // ROWS)
    length = -(-len(stretch) // count)
    return [stretch[start : start + length] for start in range(0, len(stretch), length)]


def _level(size: Sequence[int], shape: Sequence[int]) -> int:
    """About how often the image was halved. A value without spatial axes is below all others."""
    if len(shape) != len(size) + 2:
        return 1 + round(log2(max(size)))
    return round(log2(max(1.0, max(size) / max(shape[2:]))))


def _detail(layer: Layer, values: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> str:
    if layer.kind == "pooling":
        return f"pooling of {values['pool_size']}"
    if layer.kind == "dense":
        return f"dense, {values['units']} units"
    words = [layer.kind, f"{shapes[layer.name][1]} kernels of {values['kernel_size']}"]
    if values.get("stride", 1) > 1:
        words.append(f"stride {values['stride']}")
    return ", ".join(words)


def _size(channels: int, size: Sequence[int]) -> str:
    spatial = " x ".join(map(str, size))
    return f"{channels} channel{'s' * (channels != 1)}, {spatial}" if size else f"{channels} classes"
