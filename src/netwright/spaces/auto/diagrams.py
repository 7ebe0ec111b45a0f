"""Diagrams of the networks of `auto`, as plain data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from netwright.spaces.auto.blocks import Layers
from netwright.spaces.auto.classifier import ClassifierPlan
from netwright.spaces.auto.encoder_decoder import Plan
from netwright.spaces.base import Diagram, Edge, Node, TaskShape


def block_diagram(layers: Layers, kernel: int) -> Diagram:
    """The layers of one block; a dashed arrow for what is added."""
    after = f"{layers.norm} norm, {layers.activation}"
    convolution = f"{kernel}-wide convolution"
    rows: Sequence[tuple[str, str]]
    if layers.block == "plain":
        rows = ((convolution, after),)
    elif layers.block == "residual":
        rows = ((convolution, after), (convolution, f"{layers.norm} norm"))
    else:
        rows = (
            (f"{kernel}-wide depthwise convolution", f"{layers.norm} norm"),
            ("pointwise convolution", f"{layers.expansion} x channels, {layers.activation}"),
            ("pointwise convolution", ""),
        )
    nodes = [Node("input", "input", 0, 0)]
    nodes += [Node(f"layer {i}", label, i, 0, detail) for i, (label, detail) in enumerate(rows, start=1)]
    last = len(nodes)
    if layers.block == "plain":
        nodes.append(Node("output", "output", last, 0))
    else:
        nodes.append(Node("output", "sum", last, 0, layers.activation if layers.block == "residual" else ""))
    edges = [Edge(one.name, other.name) for one, other in itertools.pairwise(nodes)]
    if layers.block != "plain":
        edges.append(Edge("input", "output", dashed=True))
    return Diagram("Block", tuple(nodes), tuple(edges))


def u_diagram(plan: Plan, channels: int, task: TaskShape, title: str) -> Diagram:
    """The levels, one row each: the encoder on the left, the decoder on the right; joined features are dashed.

    Args:
        plan: of the network.
        channels: that it gets.
        task: the size of its input, and the classes.
        title: of the diagram.
    """
    count, block = len(plan.levels), plan.layers.block
    stem = "" if max(plan.stem_stride) == 1 else f", every {max(plan.stem_stride)} voxels"
    nodes = [Node("image", "image", 0, 0, _detail(channels, task.size))]
    edges = []
    for level in range(count):
        blocks = f"{plan.blocks} {block} block{'s' * (plan.blocks != 1)}"
        detail = _detail(plan.channels[level], plan.levels[level].size)
        nodes.append(Node(f"encoder {level + 1}", blocks, level + 1, level, detail))
        how = (
            f"convolution{stem}" if not level else "strided" if plan.downsampling == "convolution" else "max"
        )
        edges.append(Edge(nodes[-2].name, nodes[-1].name, how))
    for level in range(count - 2, -1, -1):
        blocks = f"{plan.decoder_blocks} {block} block{'s' * (plan.decoder_blocks != 1)}"
        detail = _detail(plan.channels[level], plan.levels[level].size)
        nodes.append(Node(f"decoder {level + 1}", blocks, 2 * count - level - 1, level, detail))
        edges.append(Edge(nodes[-2].name, nodes[-1].name, plan.upsampling))
        edges.append(Edge(f"encoder {level + 1}", nodes[-1].name, plan.join, dashed=True))
        if 0 < level <= plan.supervision:
            name = f"auxiliary {level}"
            nodes.insert(-1, Node(name, "auxiliary logits", 2 * count, level, "in training"))
            edges.append(Edge(nodes[-1].name, name, dashed=True))
    last = nodes[-1].name
    nodes.append(Node("output", "logits", 2 * count, 0, _detail(task.classes, task.size)))
    edges.append(Edge(last, "output", "transposed" if stem else "pointwise"))
    return Diagram(title, tuple(nodes), tuple(edges))


def stages_diagram(plan: ClassifierPlan, task: TaskShape) -> Diagram:
    """The stages in a row."""
    stride = max(plan.stem_stride)
    nodes = [Node("image", "image", 0, 0, _detail(task.channels, task.size))]
    edges = []
    for stage, (channels, resolution) in enumerate(zip(plan.channels, plan.stages, strict=True), start=1):
        title = f"{plan.blocks} {plan.layers.block} block{'s' * (plan.blocks != 1)}"
        nodes.append(Node(f"stage {stage}", title, stage, 0, _detail(channels, resolution.size)))
        first = "convolution" if stride == 1 else f"convolution, every {stride} pixels"
        between = "strided" if plan.downsampling == "convolution" else "max"
        edges.append(Edge(nodes[-2].name, nodes[-1].name, first if stage == 1 else between))
    nodes.append(Node("output", "logits", len(nodes), 0, f"{task.classes} classes"))
    edges.append(Edge(nodes[-2].name, "output", "mean"))
    return Diagram("Network", tuple(nodes), tuple(edges))


def _detail(channels: int, size: Sequence[int]) -> str:
    return f"{channels} channel{'s' * (channels != 1)}, {' x '.join(map(str, size))}"
